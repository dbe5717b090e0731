// The test function of all specs.
import './resolve';

export { expect, test } from '@playwright/test';
