//! Which runtimes are attended to, each by one task.

use contract::RuntimeId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// Runtimes that are being attended to.
#[derive(Default)]
pub(super) struct Attended(Mutex<HashMap<RuntimeId, Arc<Wake>>>);

/// Wakes the task that attends to a runtime.
#[derive(Default)]
pub(super) struct Wake {
    notify: Notify,
    woken: AtomicBool,
}

impl Wake {
    /// Waits until something changes at the runtime.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Attended {
    fn held(&self) -> MutexGuard<'_, HashMap<RuntimeId, Arc<Wake>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to attend, unless somebody does already.
    pub(super) fn begin(self: &Arc<Self>, runtime_id: RuntimeId) -> Option<Attending> {
        let mut attended = self.held();
        if attended.contains_key(&runtime_id) {
            return None;
        }
        let wake = Arc::new(Wake::default());
        attended.insert(runtime_id, Arc::clone(&wake));
        Some(Attending { attended: Arc::clone(self), runtime_id, wake })
    }

    /// Wakes whoever attends to it.
    pub(super) fn wake(&self, runtime_id: RuntimeId) {
        if let Some(wake) = self.held().get(&runtime_id) {
            wake.woken.store(true, Ordering::Release);
            wake.notify.notify_one();
        }
    }
}

/// One task's attention to a runtime. Ends with it, also when the task is cut off or fails.
pub(super) struct Attending {
    attended: Arc<Attended>,
    /// Which runtime.
    pub(super) runtime_id: RuntimeId,
    /// Wakes it.
    pub(super) wake: Arc<Wake>,
}

impl Attending {
    /// Ends, unless somebody woke us since the last look.
    pub(super) fn end(&self) -> bool {
        let mut attended = self.attended.held();
        if self.wake.woken.swap(false, Ordering::AcqRel) {
            return false;
        }
        attended.remove(&self.runtime_id);
        true
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut attended = self.attended.held();
        // Another task may have begun since.
        if attended.get(&self.runtime_id).is_some_and(|present| Arc::ptr_eq(present, &self.wake)) {
            attended.remove(&self.runtime_id);
        }
    }
}
