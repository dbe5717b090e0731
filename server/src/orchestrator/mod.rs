//! ORCHESTRATION, the wish: commands, the pure decision, the reconciler and its driver.
