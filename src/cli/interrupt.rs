//! Ctrl-C, and the signal with which a supervisor ends a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Ends when the process is asked to: Ctrl-C, or a supervisor's SIGTERM.
pub(super) async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// A token that is cancelled when the process is asked to end, from now on; asked once more it ends at once.
pub(super) fn asked() -> CancellationToken {
    let token = CancellationToken::new();
    let theirs = token.clone();
    Interrupt::listen(move || theirs.cancel());
    token
}

/// Whether somebody asked to stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from its return on: the first signal sets the flag and runs `then`, a second one ends the process at once.
    pub(super) fn listen(then: impl FnOnce() + Send + 'static) -> Self {
        let this = Self::default();
        let flag = Arc::clone(&this.0);
        let (ready, is_ready) = sync_channel::<()>(1);
        // Without a thread or a runtime the signals keep what they do without this: they end the process.
        let _ = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
                return;
            };
            runtime.block_on(async {
                let (Ok(mut interrupt), Ok(mut terminate)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return;
                };
                let _ = ready.send(());
                let mut next = async || {
                    tokio::select! {
                        _ = interrupt.recv() => 130,
                        _ = terminate.recv() => 143,
                    }
                };
                next().await;
                flag.store(true, Ordering::Relaxed);
                thread::spawn(then);
                let code = next().await;
                std::process::exit(code);
            });
        });
        // Without a listener there is nobody to wait for.
        let _ = is_ready.recv();
        this
    }

    /// Whether a signal came.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
