/* Crossings: a program for Linux that does on command what leaves user code, so many times.
 *
 * It is the first process of a kernel that has nothing else to run. A command is a line with a name
 * of the table below and a number of rounds; the answer is "done" and the next prompt. Whoever gives
 * the commands takes the time from line to prompt, and the difference of two numbers of rounds is
 * free of all that is paid once: the line, the prompt, a child that is made before the loop.
 *
 *     crossings> pipe 1000
 *     done
 *     crossings>
 *
 * No library: system calls are INT 0x80, but for the row that goes through the kernel's own entry,
 * __kernel_vsyscall (its address is in the auxiliary vector), which is SYSENTER where CPUID has it.
 */

typedef unsigned int u32;
typedef unsigned char u8;

#define NOINLINE __attribute__((noinline))
#define PAGE 4096

/* --- the kernel ------------------------------------------------------------------------------- */

enum { EXIT = 1, FORK = 2, READ = 3, WRITE = 4, CLOSE = 6, WAITPID = 7, EXECVE = 11, GETPID = 20,
       PIPE = 42, IOCTL = 54, MUNMAP = 91, MMAP2 = 192 };
enum { TCGETS = 0x5401, TCSETS = 0x5402, ECHO = 8 };
enum { READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22 };
enum { AT_SYSINFO = 32 };

static u32 kernel_entry;        /* __kernel_vsyscall, or 0 */
static const char *own_name;    /* what this program was started as */

static int call(u32 number, u32 a, u32 b, u32 c)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static u8 *fresh_pages(u32 count)
{
    u32 result;
    __asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
                     : "=a"(result)
                     : "a"(MMAP2), "b"(0), "c"(count * PAGE), "d"(READ_WRITE),
                       "S"(PRIVATE_ANONYMOUS), "D"(-1)
                     : "memory");
    return (u8 *)result;
}

static void leave(u32 status)
{
    for (;;)
        call(EXIT, status, 0, 0);
}

static void print(const char *text)
{
    u32 length = 0;
    while (text[length])
        length++;
    call(WRITE, 1, (u32)text, length);
}

/* --- into the kernel and back ----------------------------------------------------------------- */

static void nothing(u32 rounds)
{
    while (rounds--)
        __asm__ volatile("mov $100, %%ecx\n1:\tdec %%ecx\n\tjnz 1b" ::: "ecx", "cc");
}

static void interrupt(u32 rounds)
{
    while (rounds--)
        call(GETPID, 0, 0, 0);
}

static void entry(u32 rounds)
{
    while (rounds--) {
        u32 number = GETPID;
        __asm__ volatile("call *%1" : "+a"(number) : "m"(kernel_entry) : "memory", "cc");
    }
}

#define AT_ONCE 256
static void fault(u32 rounds)
{
    while (rounds) {
        u32 count = rounds < AT_ONCE ? rounds : AT_ONCE;
        volatile u8 *pages = fresh_pages(AT_ONCE);
        for (u32 i = 0; i < count; i++)
            pages[i * PAGE] = 1;
        call(MUNMAP, (u32)pages, AT_ONCE * PAGE, 0);
        rounds -= count;
    }
}

static void wait(u32 child)
{
    u32 status;
    call(WAITPID, child, (u32)&status, 0);
    if (status)
        print("failed\n");
}

static void new_process(u32 rounds, int other_program)
{
    char *const words[] = {(char *)own_name, "leave", 0};
    while (rounds--) {
        int child = call(FORK, 0, 0, 0);
        if (child == 0) {
            if (other_program)
                call(EXECVE, (u32)own_name, (u32)words, 0);
            leave(other_program);       /* what follows an EXECVE that failed */
        }
        wait(child);
    }
}

static void fork(u32 rounds) { new_process(rounds, 0); }
static void exec(u32 rounds) { new_process(rounds, 1); }

/* --- from process to process ------------------------------------------------------------------ */

#define TOUCHED 100
static u8 touched[TOUCHED * PAGE];

static void touch(u32 pages)
{
    for (u32 i = 0; i < pages; i++)
        ((volatile u8 *)touched)[i * PAGE]++;
}

/* A byte goes to a child and comes back; each writes to so many pages when it has the byte. */
static void ping_pong(u32 rounds, u32 pages)
{
    int there[2], back[2], child;
    u8 byte = 1;
    call(PIPE, (u32)there, 0, 0);
    call(PIPE, (u32)back, 0, 0);
    child = call(FORK, 0, 0, 0);
    if (child == 0) {
        call(CLOSE, there[1], 0, 0);
        while (call(READ, there[0], (u32)&byte, 1) == 1) {
            touch(pages);
            call(WRITE, back[1], (u32)&byte, 1);
        }
        leave(0);
    }
    while (rounds--) {
        touch(pages);
        call(WRITE, there[1], (u32)&byte, 1);
        call(READ, back[0], (u32)&byte, 1);
    }
    call(CLOSE, there[1], 0, 0);
    wait(child);
    call(CLOSE, there[0], 0, 0);
    call(CLOSE, back[0], 0, 0);
    call(CLOSE, back[1], 0, 0);
}

static void pipe(u32 rounds) { ping_pong(rounds, 0); }
static void context(u32 rounds) { ping_pong(rounds, TOUCHED); }

/* --- user code, which crosses nothing --------------------------------------------------------- */

static volatile u32 result;     /* so that the compiler leaves the work in */

static void integers(u32 rounds)
{
    u32 a = 1, b = 2;
    for (rounds *= 1000; rounds--;) {
        a = a * 1664525u + 1013904223u;
        b = (b << 7 | b >> 25) ^ (a >> 8);
    }
    result = b;
}

#define WORDS 8192
static u32 words[WORDS];

static void memory(u32 rounds)
{
    while (rounds--) {
        u32 sum = 0;
        for (u32 i = 0; i < WORDS; i += 8) {
            sum += words[i];
            words[i ^ 8] = sum + i;
        }
        result = sum;
    }
}

static void floats(u32 rounds)
{
    volatile double kept;
    double x = 1.0, y = 0.5;
    for (rounds *= 100; rounds--;) {
        x = x * 0.999 + y;
        y = y / (x + 1.0);
    }
    kept = x + y;
    (void)kept;
}

static NOINLINE u32 add(u32 a, u32 b) { return a + b; }
static NOINLINE u32 turn(u32 a, u32 b) { return (a << 7 | a >> 25) ^ b; }
static u32 (*volatile const steps[2])(u32, u32) = {add, turn};

static NOINLINE u32 fibonacci(u32 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static void calls(u32 rounds)
{
    u32 value = 1;
    while (rounds--) {
        for (u32 i = 0; i < 64; i++)
            value = steps[value >> 9 & 1](value, i);
        value += fibonacci(8);
    }
    result = value;
}

/* --- commands --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(u32 rounds);
} commands[] = {
    {"nothing", nothing}, {"interrupt", interrupt}, {"entry", entry}, {"pipe", pipe},
    {"context", context}, {"fault", fault}, {"fork", fork}, {"exec", exec},
    {"integers", integers}, {"memory", memory}, {"floats", floats}, {"calls", calls},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* The rest of the line if it begins with the name and a blank, or 0. */
static const char *after(const char *line, const char *name)
{
    while (*name && *line == *name)
        line++, name++;
    return *name == 0 && *line == ' ' ? line + 1 : 0;
}

static void obey(const char *line)
{
    for (u32 i = 0; i < COMMANDS; i++) {
        const char *digits = after(line, commands[i].name);
        u32 rounds = 0;
        if (!digits)
            continue;
        while (*digits >= '0' && *digits <= '9')
            rounds = rounds * 10 + *digits++ - '0';
        commands[i].run(rounds);
        print("done\n");
        return;
    }
    print("unknown\n");
}

/* A terminal that does not echo; anything else is as it is. */
static void no_echo(void)
{
    u32 termios[16];
    if (call(IOCTL, 0, TCGETS, (u32)termios) == 0) {
        termios[3] &= ~(u32)ECHO;
        call(IOCTL, 0, TCSETS, (u32)termios);
    }
}

static void find_entry(u32 *stack)
{
    u32 *place = stack + stack[0] + 2;  /* past argc, argv and its 0 */
    while (*place++)
        ;                               /* past the environment and its 0 */
    for (; place[0]; place += 2)
        if (place[0] == AT_SYSINFO)
            kernel_entry = place[1];
}

__attribute__((used)) static void start(u32 *stack)
{
    static char line[64];
    if (stack[0] == 2 && *(const char *)stack[2] == 'l')
        leave(0);                       /* exec's */
    own_name = (const char *)stack[1];
    find_entry(stack);
    no_echo();
    for (;;) {
        u32 length = 0;
        print("crossings> ");
        do {
            if (call(READ, 0, (u32)(line + length), 1) != 1)
                leave(0);
        } while (line[length] != '\n' && ++length < sizeof line - 1);
        line[length] = 0;
        obey(line);
    }
}

__asm__(".text\n\t.globl _start\n"
        "_start:\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall start\n");
