// Preloaded into a process (--import): its clock is off by TEST_CLOCK_SKEW milliseconds.
const skew = Number(process.env['TEST_CLOCK_SKEW'] ?? 0);
const Real = Date;
globalThis.Date = class Date extends Real {
  constructor(...given) {
    if (given.length === 0) super(Real.now() + skew);
    else super(...given);
  }
  static now() {
    return Real.now() + skew;
  }
};
