"""The 8254's counters against a slow, obvious one that really counts, CLK pulse by CLK pulse."""

import random

import pytest

from devices.i8254 import Counter


class Clocked:
    """One counter as the datasheet words it: what each CLK pulse does in each mode."""

    def __init__(self, mode, gate):
        self.mode, self.gate = mode, gate
        self.register = None
        self.element = None
        self.out = mode != 0
        self.load_due = False
        self.odd = False

    def write(self, count):
        self.register = count
        if self.mode == 0:
            self.out = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and self.element is None and self.gate):
            self.load_due = True

    def set_gate(self, level):
        rising, falling = level and not self.gate, self.gate and not level
        self.gate = level
        if rising and self.mode in (1, 2, 3, 5) and self.register is not None:
            self.load_due = True
        if falling and self.mode in (2, 3):
            self.out = True
            self.load_due = False

    def clock(self):
        if self.load_due:
            self.load_due = False
            self.load()
            self.out = self.mode not in (0, 1)
        elif self.element is not None and (self.gate or self.mode in (1, 5)):
            (self.count, self.count, self.rate, self.square, self.count, self.count)[self.mode]()
        elif self.mode == 4:
            self.out = True

    def load(self):
        self.odd = bool(self.register & 1)
        self.element = self.register & ~1 if self.mode == 3 else self.register

    def count(self):
        self.element = (self.element - 1) & 0xFFFF
        if self.mode in (0, 1):
            self.out = self.out or self.element == 0
        else:
            self.out = self.element != 0

    def rate(self):
        self.element -= 1
        if self.element == 0:
            self.load()
        self.out = self.element != 1 or self.register == 1

    def square(self):
        if self.element == 0 or (self.element == 2 and not (self.out and self.odd)):
            self.out = not self.out
            self.load()
        else:
            self.element -= 2


def write(dice, tick, reference, counter):
    count = dice.randrange(2, 20)
    reference.write(count)
    counter.write(tick, count)


def gate(dice, tick, reference, counter):
    # A strobe that is frozen half way is not told apart: mode 4 leaves GATE alone then.
    if reference.mode != 4 or reference.element != 0:
        level = dice.random() < 0.6
        reference.set_gate(level)
        counter.set_gate(tick, level)


@pytest.mark.parametrize("mode", range(6))
@pytest.mark.parametrize("seed", range(6))
def test_counters_agree_with_one_that_counts(mode, seed):
    dice = random.Random(seed * 10 + mode)
    reference, counter = Clocked(mode, gate=True), Counter(gate=True)
    counter.control(0, 1, mode, bcd=False)
    compared = 0
    for tick in range(6000):
        if tick:
            reference.clock()
        # Ask only now and then, so that the lazy counter has something to catch up with.
        if dice.random() < 0.7:
            counter.settle(tick)
            assert counter.out(tick) == reference.out, tick
            if reference.element is not None:
                assert counter.count(tick) == reference.element, tick
                compared += 1
        for operation in dice.sample((write, gate), 2):
            if dice.random() < 0.08:
                operation(dice, tick, reference, counter)
    assert compared > 3000
