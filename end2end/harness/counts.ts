// Ends the run with one line of counts, which `make test` adds to those of the other tests.
import type { FullResult, Reporter, Suite } from '@playwright/test/reporter';

export default class Counts implements Reporter {
  private suite?: Suite;
  private errors = 0;

  onBegin(_config: unknown, suite: Suite): void {
    this.suite = suite;
  }

  /** An error outside of any test: the set-up, the tear-down, a file that does not load. */
  onError(): void {
    this.errors += 1;
  }

  onEnd(result: FullResult): void {
    const tests = this.suite?.allTests() ?? [];
    // A test that did not run, because one before it failed, has not passed.
    const passed = tests.filter((test) => test.outcome() === 'expected').length;
    const failed = tests.length - passed + this.errors;
    const unsaid = result.status !== 'passed' && failed === 0 ? 1 : 0;
    console.log(`end2end: ${passed} passed, ${failed + unsaid} failed`);
  }

  printsToStdio(): boolean {
    return false;
  }
}
