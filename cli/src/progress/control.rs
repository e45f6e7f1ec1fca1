//! Ctrl-C: once stops after the current steps, twice stops at once.

use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use workplan_engine::session;

use super::Talker;
use super::board::Board;

/// What was asked by signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control(Arc<Mutex<Option<Signal>>>);

impl Control {
    /// The first signal that came.
    pub(crate) fn signal(&self) -> Option<Signal> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a signal; whether it was the first.
    fn note(&self, signal: Signal) -> bool {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_first = first.is_none();
        first.get_or_insert(signal);
        was_first
    }
}

/// Listens to SIGINT, SIGTERM and SIGHUP from now on. Needs a running runtime.
///
/// # Errors
/// When the operating system does not let us listen.
pub(crate) fn listen(
    board: Board,
    talker: Talker,
) -> std::io::Result<(Control, mpsc::UnboundedReceiver<session::Control>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let control = Control::default();
    for (kind, which, name) in [
        (SignalKind::interrupt(), Signal::SIGINT, "Ctrl-C"),
        (SignalKind::terminate(), Signal::SIGTERM, "SIGTERM"),
        (SignalKind::hangup(), Signal::SIGHUP, "SIGHUP"),
    ] {
        let mut signals = signal(kind)?;
        let (sender, control) = (sender.clone(), control.clone());
        let (board, talker) = (board.clone(), talker.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let first = control.note(which);
                talker.talk(&answer(first, name, &board.names()));
                let ask = if first { session::Control::Cancel } else { session::Control::Kill };
                // The run is over when nobody listens any more.
                if sender.send(ask).is_err() {
                    break;
                }
            }
        });
    }
    Ok((control, receiver))
}

fn answer(first: bool, name: &str, running: &[String]) -> String {
    match (first, running) {
        (false, _) => "stopping at once".to_owned(),
        (true, []) => format!("{name}: stopping; {name} again stops at once"),
        (true, steps) => {
            format!("{name}: finishing {}; {name} again stops at once", steps.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let running = ["T01.x".to_owned()];
        assert_eq!(
            answer(true, "Ctrl-C", &running),
            "Ctrl-C: finishing T01.x; Ctrl-C again stops at once"
        );
        assert_eq!(answer(false, "Ctrl-C", &running), "stopping at once");
    }
}
