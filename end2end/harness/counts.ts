// Ends the run with what failed and why, a line each, and one line of counts, which `make test` adds to those of the other tests.
import { stripVTControlCharacters } from 'node:util';
import type { FullResult, Reporter, Suite, TestError } from '@playwright/test/reporter';

/** The first lines of an error: what was wanted, of what, and what there was. */
const brief = (error: TestError) => stripVTControlCharacters(error.message ?? error.value ?? '').split('\n').filter((line) => line.trim()).slice(0, 8).join(' / ');

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
    // The end of a long output is what is read first, and sometimes all that is kept.
    for (const test of tests.filter((test) => test.outcome() === 'unexpected')) {
      const errors = test.results.flatMap((result) => result.errors);
      console.log(`failed: ${test.titlePath().filter(Boolean).join(' › ')}\n  ${errors.map(brief).join('\n  ')}`);
    }
    const unsaid = result.status !== 'passed' && failed === 0 ? 1 : 0;
    console.log(`end2end: ${passed} passed, ${failed + unsaid} failed`);
  }

  printsToStdio(): boolean {
    return false;
  }
}
