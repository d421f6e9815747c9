"""Which instructions keep x86 from being virtualized, derived by running them.

Popek and Goldberg (1974) split the state of a machine in two. What a program owns is *visible*:
general registers, EIP, the flags that ring 3 can set, memory, the x87 unit, the selectors in the
segment registers. What only a supervisor may own is *privileged*: the mode (CPL, and with it the
RPL in CS and SS; VM), the interrupt flag and IOPL, the relocation (descriptor caches, descriptor
tables and the registers that point to them), control, debug and model-specific registers, time,
ports, and whether the processor runs at all. A *world* (worlds.py) is one value of the privileged
state. An *experiment* (experiments.py) is an instruction with one value of the visible state. Every
experiment runs in every world, each time from the same visible state (bench.py), and ends in a
*trap* (a fault: the instruction changed nothing and the supervisor hears of it) or in effects.

Three worlds say what a monitor is up against. In the *guest's* world a kernel is in ring 0, with
descriptors, tables and control registers of its own. In the *monitor's* world the same kernel has
been put into ring 3 by ring compression: its code and data segments have DPL 3, IF is 1, IOPL 0,
CR4.TSD 1 and CR4.PCE 0, GDTR, IDTR, LDTR, TR and CR0 are the monitor's. The *lenient* world is the
monitor's with IOPL 3, TSD 0, PCE 1 and an open I/O bitmap. Thirteen more worlds are the guest's
with one piece of the privileged state changed, and say what a result depends on. For each form of
an instruction:

* *control sensitive*: an experiment changes privileged state without a trap;
* *behaviour sensitive*: an experiment's visible result is another one in two worlds of ring 0, or
  in ring 0 and in ring 3, and neither is a trap;
* *privileged*: some experiment completes in ring 0, and none in ring 3, however lenient;
* *trapped*: the same, but in the monitor's world only: the monitor can have it trap.

From these follows the class (classify.py): *privileged*; *sensitive*, which is sensitive and
trapped but not privileged; *critical*, which is sensitive and not trapped; else *innocuous*.

Worked example, PUSHFD with the carry flag set. A guest that has IF clear pushes 00000003 in ring 0,
one that has it set 00000203: a visible result that depends on privileged state, so PUSHFD is
behaviour sensitive. In the monitor's world it pushes 00000203 for both without a trap, so it is
critical: "ring 0: [stack-4] 00000003; ring 3: [stack-4] 00000203, no trap". CLI is control
sensitive, for it clears IF in ring 0. In the monitor's world it is #GP(0), and with IOPL 3 it goes
through: sensitive.

Where x86 and the definitions of 1974 meet awkwardly:

* *Trap*. INT n, INT3, INTO and INT1 do arrive in a supervisor, but they have completed, at a gate
  that the real IDT names; no fault says that ring 3 did what it may not. They are not traps here,
  which is how Robin and Irvine see it too. A monitor owns that IDT and catches them all the same.
* *Selectors*. The selector in DS, ES, FS or GS is a number that a program put there, and visible.
  The descriptor behind it is relocation, and privileged. So loading is control sensitive and
  storing is innocuous; but CS and SS carry the CPL, so storing these is critical.
* *Only ring 0 faults*. MOV SS with an RPL of 3 faults in ring 0 and completes in ring 3. A guest
  kernel would miss its fault and no monitor would know; that counts as a difference.
* *Conditional traps*. IN, OUT, CLI and STI trap by IOPL and the I/O bitmap, RDTSC and RDPMC by CR4.
  The definition of 1974 knows no such switch; the class *sensitive* is for them.
* *Far transfers and loads of segment registers* fault or complete by their operand. One operand
  with which ring 3 is silent and wrong is enough, as in the definition. Call gates and task gates
  are not among the operands; they would only add to what is critical anyway.
* *Halting* changes no register. That the processor stops is privileged state, so HLT is control
  sensitive, and always traps.
* *VME and PVI*, later ways to give CLI, STI, PUSHF, POPF and INT n a virtual interrupt flag in ring
  3, are off in every world.
* *The processor itself*. CPUID gives ring 0 and ring 3 the same answer: innocuous, though a monitor
  may well wish that it trapped.
* *Virtual-8086 mode* is how a monitor runs a guest in real mode, so there the guest's world is real
  mode. A segment's base is 16 times its selector in both and no privileged state. Ports trap by the
  I/O bitmap alone, and the lenient world has IOPL 3.
* *Only the whole of an instruction counts*, from one instruction boundary to the next: interrupt
  shadows, the TLB's contents and how long it takes are left out.
"""
