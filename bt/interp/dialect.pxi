# The compiled twin of dialect.py and pure.py: C types, and the primitives that touch raw memory.
#
# The amalgamation (build.py) includes it before the joined sources. In front of it stand the
# constants and a forward declaration of every struct; the arrays SHAPE, IMM, SELECT, FEATURE and HANDLERS
# follow.

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, memmove
from typing import Any

ctypedef unsigned char u8
ctypedef unsigned short u16
ctypedef unsigned int u32
ctypedef unsigned long long u64
ctypedef signed char i8
ctypedef short i16
ctypedef int i32
ctypedef long long i64
ctypedef u8* U8Ptr
ctypedef u32* U32Ptr
ctypedef u64* U64Ptr

cdef extern from *:
    """
    #define VP_INLINE inline __attribute__((always_inline))
    #define VP_M8 0xFFU
    #define VP_M16 0xFFFFU
    #define VP_M32 0xFFFFFFFFU
    #define VP_M64 0xFFFFFFFFFFFFFFFFULL
    #define vp_mulhi64(a, b) ((unsigned long long)(((unsigned __int128)(a) * (b)) >> 64))
    #define vp_clz64(a) ((a) ? (unsigned)__builtin_clzll(a) : 64U)
    #define vp_ctz32(a) ((unsigned)__builtin_ctz(a))
    #include <stdlib.h>
    #include <string.h>
    #define VP_ARITHMETIC(name, number, bits)                                            \\
    static inline bits name(unsigned kind, bits a, bits b) {                              \\
        number x, y;                                                                     \\
        memcpy(&x, &a, sizeof x);                                                        \\
        memcpy(&y, &b, sizeof y);                                                        \\
        x = kind == 0x58 ? x + y : kind == 0x59 ? x * y : kind == 0x5C ? x - y : x / y;  \\
        memcpy(&a, &x, sizeof a);                                                        \\
        return a;                                                                        \\
    }
    VP_ARITHMETIC(vp_host_double, double, unsigned long long)
    VP_ARITHMETIC(vp_host_single, float, unsigned)
    #ifdef __GLIBC__
    #include <malloc.h>
    /* Big tables stay apart from the heap, also after one was freed: memory by mmap is zero
       already, and costs nothing until it is touched. */
    #define vp_big_tables_apart() mallopt(M_MMAP_THRESHOLD, 1 << 16)
    #else
    #define vp_big_tables_apart() 0
    #endif
    """
    int vp_big_tables_apart()
    int check_signals "PyErr_CheckSignals"() except -1
    const u32 M8 "VP_M8"
    const u32 M16 "VP_M16"
    const u32 M32 "VP_M32"
    const u64 M64 "VP_M64"
    u64 mulhi64 "vp_mulhi64"(u64 a, u64 b) nogil
    u32 clz64 "vp_clz64"(u64 a) nogil
    u64 host_double "vp_host_double"(u32 kind, u64 a, u64 b) nogil
    u32 host_single "vp_host_single"(u32 kind, u32 a, u32 b) nogil
    u32 ctz32 "vp_ctz32"(u32 a) nogil

cdef class Cpu
ctypedef int (*handler_t)(Cpu c, Op op) noexcept nogil

cdef inline u32 ld8(Cpu c, u64 host) noexcept nogil:
    return (<u8*>host)[0]
cdef inline u32 ld16(Cpu c, u64 host) noexcept nogil:
    return (<u16*>host)[0]
cdef inline u32 ld32(Cpu c, u64 host) noexcept nogil:
    return (<u32*>host)[0]
cdef inline void st8(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u8*>host)[0] = <u8>value
cdef inline void st16(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u16*>host)[0] = <u16>value
cdef inline void st32(Cpu c, u64 host, u32 value) noexcept nogil:
    (<u32*>host)[0] = value
cdef inline void host_copy(Cpu c, u64 dst, u64 src, u32 n) noexcept nogil:
    memmove(<void*>dst, <void*>src, n)
cdef inline void host_fill(Cpu c, u64 dst, u32 value, u32 size, u32 count) noexcept nogil:
    cdef u32 i
    if size == 1:
        memset(<void*>dst, value & 0xFF, count)
    elif size == 2:
        for i in range(count):
            (<u16*>dst)[i] = <u16>value
    else:
        for i in range(count):
            (<u32*>dst)[i] = value
cdef inline u32 get8(Cpu c, u32 i) noexcept nogil:
    return (<u8*>c.regs)[i]
cdef inline void set8(Cpu c, u32 i, u32 value) noexcept nogil:
    (<u8*>c.regs)[i] = <u8>value
cdef inline u32 get16(Cpu c, u32 i) noexcept nogil:
    return (<u16*>c.regs)[2 * i]
cdef inline void set16(Cpu c, u32 i, u32 value) noexcept nogil:
    (<u16*>c.regs)[2 * i] = <u16>value
cdef inline i64 sx8(u64 value) noexcept nogil:
    return <i8>value
cdef inline i64 sx16(u64 value) noexcept nogil:
    return <i16>value
cdef inline i64 sx32(u64 value) noexcept nogil:
    return <i32>value
cdef inline i64 sx64(u64 value) noexcept nogil:
    return <i64>value
cdef inline u64 zx64(i64 value) noexcept nogil:
    return <u64>value
cdef inline u64 udiv64(u64 a, u64 b) noexcept nogil:
    return a // b
cdef inline u64 urem64(u64 a, u64 b) noexcept nogil:
    return a % b
cdef inline i64 sdiv64(i64 a, i64 b) noexcept nogil:
    return a // b
cdef inline i64 srem64(i64 a, i64 b) noexcept nogil:
    return a % b
cdef inline int go(Cpu c, Op op) noexcept nogil:
    return op.fn(c, op)
cdef inline Op op_next(Op op) noexcept nogil:
    return op + 1
cdef inline Op op_shift(Op op, u32 n) noexcept nogil:
    return op + n
cdef inline int NEXT(Cpu c, Op op) noexcept nogil:
    return (op + 1).fn(c, op + 1)
cdef inline bint is_null(void* pointer) noexcept nogil:
    return pointer == NULL
cdef inline Op op_null() noexcept nogil:
    return NULL
cdef inline Op op_at(Op ops, u32 i) noexcept nogil:
    return ops + i
cdef inline Block block_at(Block blocks, u32 i) noexcept nogil:
    return blocks + i
cdef inline Jump jump_at(Jump jumps, u32 i) noexcept nogil:
    return jumps + i
cdef inline void link_ops(Op op, Op succ) noexcept nogil:
    pass
cdef int start(Cpu c, Op op) noexcept nogil:
    return op.fn(c, op)
cdef inline u32 shape_table(u32 i) noexcept nogil:
    return SHAPE[i]
cdef inline u32 imm_table(u32 i) noexcept nogil:
    return IMM[i]
cdef inline u32 select_table(u32 i) noexcept nogil:
    return SELECT[i]
cdef inline u32 feature_table(u32 number) noexcept nogil:
    return FEATURE[number]
cdef inline void set_handler(Op op, u32 number) noexcept nogil:
    op.handler = number
    op.fn = HANDLERS[number]
cdef inline void wrap_handler(Op op, u32 number) noexcept nogil:
    op.fn = HANDLERS[number]
cdef inline int own_handler(Cpu c, Op op) noexcept nogil:
    return HANDLERS[op.handler](c, op)

cdef u8* alloc8(size_t count) except NULL:
    return <u8*>_calloc(count, 1)
cdef u32* alloc32(size_t count) except NULL:
    return <u32*>_calloc(count, 4)
cdef u64* alloc64(size_t count) except NULL:
    return <u64*>_calloc(count, 8)
cdef void* _calloc(size_t count, size_t size) except NULL:
    cdef void* got = calloc(count, size)
    if got == NULL:
        raise MemoryError()
    return got
cdef enum:
    ARENA_SIZE = 1024
cdef class Arena:
    cdef void* kept[ARENA_SIZE]
    cdef u32 count
    def __cinit__(self):
        vp_big_tables_apart()
    def __dealloc__(self):
        cdef u32 i
        for i in range(self.count):
            free(self.kept[i])
cdef object new_arena():
    return Arena()
cdef int keep(object arena, void* pointer) except -1:
    cdef Arena owner = arena
    if owner.count == ARENA_SIZE:
        raise MemoryError("too many address spaces")
    owner.kept[owner.count] = pointer
    owner.count += 1
    return 0
cdef Op alloc_ops(size_t count) except NULL:
    return <Op>_calloc(count, sizeof(OpS))
cdef Block alloc_blocks(size_t count) except NULL:
    return <Block>_calloc(count, sizeof(BlockS))
cdef Jump alloc_jumps(size_t count) except NULL:
    return <Jump>_calloc(count, sizeof(JumpS))
cdef Memory new_memory() except NULL:
    return <Memory>_calloc(1, sizeof(MemoryS))
cdef Blocks new_blocks() except NULL:
    return <Blocks>_calloc(1, sizeof(BlocksS))
cdef Space new_space() except NULL:
    return <Space>_calloc(1, sizeof(SpaceS))
cdef u64 host_base(object buffer) except 0:
    cdef u8[::1] view = buffer
    return <u64>&view[0]

cdef u8* over8(object buffer) except NULL:
    return <u8*>host_base(buffer)
cdef u32* over32(object buffer) except NULL:
    return <u32*>host_base(buffer)
cdef u64* over64(object buffer) except NULL:
    return <u64*>host_base(buffer)

cdef i64 _failed(Cpu c, object error) noexcept:
    c.host_error = error
    c.recheck = 1
    return 0xFFFFFFFFU
cdef i64 call_read_memory(Cpu c, u32 pa, u32 size) noexcept with gil:
    try:
        return c.bus.read_memory(pa, size)
    except BaseException as error:
        return _failed(c, error)
cdef void call_write_memory(Cpu c, u32 pa, u32 size, u32 value) noexcept with gil:
    try:
        c.bus.write_memory(pa, size, value)
    except BaseException as error:
        _failed(c, error)
cdef i64 call_read_port(Cpu c, u32 port, u32 size) noexcept with gil:
    try:
        return c.bus.read_port(port, size)
    except BaseException as error:
        return _failed(c, error)
cdef u32 call_read_ports(Cpu c, u32 port, u32 size, u32 count, u64 dst) noexcept with gil:
    cdef bytes data
    try:
        data = c.bus.read_ports(port, size, count)
        if len(data) > size * count:
            raise ValueError("more elements than were asked for")
        memcpy(<void*>dst, <char*>data, len(data))
        return len(data) // size
    except BaseException as error:
        _failed(c, error)
    return 0
cdef u32 call_write_ports(Cpu c, u32 port, u32 size, u32 count, u64 src) noexcept with gil:
    try:
        return c.bus.write_ports(port, size, (<char*>src)[:size * count])
    except BaseException as error:
        _failed(c, error)
    return 0
cdef i64 call_backdoor(Cpu c, u32 port, u32 size, u32 out, u32 value) noexcept with gil:
    try:
        return c.bus.backdoor(c, port, size, out, value)
    except BaseException as error:
        return _failed(c, error)
cdef i64 call_counter(Cpu c, u32 index) noexcept with gil:
    try:
        return c.bus.read_counter(index)
    except BaseException as error:
        return _failed(c, error)
cdef void call_apic_base(Cpu c, u64 value) noexcept with gil:
    try:
        c.bus.set_apic_base(value)
    except BaseException as error:
        _failed(c, error)
cdef i32 call_transcendental(Cpu c, u32 which) noexcept with gil:
    try:
        from bt.interp.transcendental import evaluate
        x, y = evaluate(which, c.a_se, c.a_sig, c.b_se, c.b_sig)
        c.z_sign, c.z_exp, c.z_sig, c.z_low = x
        c.y_sign, c.y_exp, c.y_sig, c.y_low = y
    except BaseException as error:
        _failed(c, error)
    return 0
cdef void call_write_port(Cpu c, u32 port, u32 size, u32 value) noexcept with gil:
    try:
        c.bus.write_port(port, size, value)
    except BaseException as error:
        _failed(c, error)
