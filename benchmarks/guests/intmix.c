/* The integer mix: the same work for every machine that runs 32-bit x86 code.
 *
 * One round is a table-driven CRC-32, a matrix product, a quicksort, calls through a table of
 * function pointers, recursion, string instructions, a walk over a shuffled linked list and an
 * open-addressing hash table. Every round starts from the same seed and so takes the same
 * instructions: a run of N rounds costs a fixed start plus N times one round, and the difference
 * of two runs is free of start-up costs. ROUNDS is set when compiling.
 *
 * start.S calls mix() and reports the checksum it returns.
 */

typedef unsigned int u32;
typedef unsigned char u8;

#ifndef ROUNDS
#define ROUNDS 1
#endif

#define NOINLINE __attribute__((noinline))

static u32 seed;

static u32 next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* CRC-32 (IEEE 802.3), one table look-up a byte. */
#define CRC_BYTES 65536
static u32 crc_table[256];
static u8 buffer[CRC_BYTES];
static u8 copy[CRC_BYTES];

static void make_crc_table(void)
{
    for (u32 byte = 0; byte < 256; byte++) {
        u32 crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xEDB88320u ^ crc >> 1 : crc >> 1;
        crc_table[byte] = crc;
    }
}

static NOINLINE u32 crc32(const u8 *data, u32 length)
{
    u32 crc = ~0u;
    while (length--)
        crc = crc_table[(crc ^ *data++) & 0xFF] ^ crc >> 8;
    return ~crc;
}

/* Matrix product, row by column. */
#define SIDE 64
static u32 left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static NOINLINE u32 multiply_matrices(void)
{
    u32 trace = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            left[i][j] = next_random(), right[i][j] = next_random();
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            u32 sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += left[i][k] * right[k][j];
            product[i][j] = sum;
        }
    for (int i = 0; i < SIDE; i++)
        trace += product[i][i];
    return trace;
}

/* Quicksort, Hoare's partition. */
#define SORTED 16384
static u32 values[SORTED];

static NOINLINE void quicksort(u32 *low, u32 *high)
{
    while (low < high) {
        u32 pivot = low[(high - low) / 2];
        u32 *i = low, *j = high;
        while (i <= j) {
            while (*i < pivot) i++;
            while (*j > pivot) j--;
            if (i <= j) {
                u32 swap = *i;
                *i++ = *j;
                *j-- = swap;
            }
        }
        quicksort(low, j);
        low = i;
    }
}

static u32 sort_values(void)
{
    for (int i = 0; i < SORTED; i++)
        values[i] = next_random();
    quicksort(values, values + SORTED - 1);
    return values[SORTED / 3] ^ values[SORTED / 2];
}

/* Calls through a table of pointers, the target changing from call to call. */
#define CALLS 100000
static NOINLINE u32 op_add(u32 a, u32 b) { return a + b; }
static NOINLINE u32 op_xor(u32 a, u32 b) { return a ^ b; }
static NOINLINE u32 op_rotate(u32 a, u32 b) { return (a << 7 | a >> 25) + b; }
static NOINLINE u32 op_multiply(u32 a, u32 b) { return a * (b | 1); }
static u32 (*const operations[4])(u32, u32) = {op_add, op_xor, op_rotate, op_multiply};

static NOINLINE u32 call_indirectly(void)
{
    u32 result = 1;
    for (u32 i = 0; i < CALLS; i++)
        result = operations[(result >> 13 ^ i) & 3](result, i);
    return result;
}

/* Recursion. */
static NOINLINE u32 fibonacci(u32 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* String instructions: fill, copy, and search for a byte that is only at the end. */
#define STRING_BYTES 4096
static NOINLINE u32 move_strings(void)
{
    u32 found = 0;
    for (u32 i = 0; i < 32; i++) {
        void *to = copy, *from = buffer;
        u32 count = STRING_BYTES / 4;
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
        to = copy, count = STRING_BYTES / 4;
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
        copy[STRING_BYTES - 1] = i;
        to = copy + STRING_BYTES - 512, count = 512;
        __asm__ volatile("repne scasb" : "+D"(to), "+c"(count) : "a"(i) : "memory", "cc");
        found += count;
    }
    return found;
}

/* A linked list in shuffled order. */
#define NODES 8192
static struct node { struct node *next; u32 value; } nodes[NODES];
static u32 order[NODES];

static NOINLINE u32 walk_list(void)
{
    u32 sum = 0;
    for (u32 i = 0; i < NODES; i++)
        order[i] = i;
    for (u32 i = NODES - 1; i > 0; i--) {
        u32 j = next_random() % (i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (u32 i = 0; i < NODES; i++) {
        nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
        nodes[order[i]].value = next_random();
    }
    struct node *node = nodes;
    for (u32 i = 0; i < 16 * NODES; i++, node = node->next)
        sum = sum * 3 + node->value;
    return sum;
}

/* A hash table, linear probing. */
#define SLOTS 32768
static u32 slots[SLOTS];

static NOINLINE u32 fill_hash_table(void)
{
    u32 probes = 0;
    for (u32 i = 0; i < SLOTS; i++)
        slots[i] = 0;
    for (u32 i = 0; i < SLOTS / 2; i++) {
        u32 key = next_random() | 1;
        u32 slot = (key * 2654435761u) >> 17;
        while (slots[slot] != 0 && slots[slot] != key)
            slot = (slot + 1) % SLOTS, probes++;
        slots[slot] = key;
    }
    return probes;
}

static NOINLINE u32 one_round(void)
{
    u32 sum;
    seed = 2463534242u;
    for (u32 i = 0; i < CRC_BYTES; i++)
        buffer[i] = next_random();
    sum = crc32(buffer, CRC_BYTES) ^ crc32(buffer + 1, CRC_BYTES - 1);
    sum = sum * 31 + multiply_matrices();
    sum = sum * 31 + sort_values();
    sum = sum * 31 + call_indirectly();
    sum = sum * 31 + fibonacci(22);
    sum = sum * 31 + move_strings();
    sum = sum * 31 + walk_list();
    sum = sum * 31 + fill_hash_table();
    return sum;
}

u32 mix(void)
{
    u32 checksum = 0;
    make_crc_table();
    for (u32 round = 0; round < ROUNDS; round++)
        checksum = (checksum << 1 | checksum >> 31) + one_round();
    return checksum;
}
