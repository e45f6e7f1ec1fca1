//! What is under way now, and for how long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use workplan_engine::duration;

use super::Talker;
use crate::term::sanitize;

/// A step is drawn only after this long: what is over at once does not flicker.
const DRAW_AFTER: Duration = Duration::from_millis(250);
/// How often the screen is looked after.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Shared by the reporter and the task that looks after the screen.
#[derive(Clone)]
pub(crate) struct Board(Arc<Mutex<Inner>>);

struct Inner {
    running: BTreeMap<String, Running>,
    bars: Option<MultiProgress>,
    talker: Talker,
    slow_lines: bool,
}

struct Running {
    since: Instant,
    what: &'static str,
    said: String,
    bar: Option<ProgressBar>,
    told: u32,
}

impl Board {
    /// An empty board. `bars` draws spinners; without them `slow_lines` tells of slow steps.
    pub(super) fn new(bars: Option<MultiProgress>, talker: Talker, slow_lines: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner { running: BTreeMap::new(), bars, talker, slow_lines })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain data that is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step began.
    pub(super) fn start(&self, step: &str, what: &'static str) {
        let running =
            Running { since: Instant::now(), what, said: String::new(), bar: None, told: 0 };
        self.lock().running.insert(step.to_owned(), running);
    }

    /// A step came to an end; how long it took.
    pub(super) fn end(&self, step: &str) -> Option<Duration> {
        let running = self.lock().running.remove(step)?;
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        Some(running.since.elapsed())
    }

    /// A step said a line.
    pub(super) fn said(&self, step: &str, line: &str) {
        if let Some(running) = self.lock().running.get_mut(step) {
            running.said = sanitize(line.trim_end()).into_owned();
            if let Some(bar) = &running.bar {
                bar.set_message(running.said.clone());
            }
        }
    }

    /// The steps under way.
    pub(super) fn names(&self) -> Vec<String> {
        self.lock().running.keys().cloned().collect()
    }

    /// Looks after the screen: draws what is new, tells of what is slow.
    pub(super) fn tick(&self, now: Instant) {
        let mut inner = self.lock();
        let Inner { running, bars, talker, slow_lines } = &mut *inner;
        for (step, running) in running.iter_mut() {
            let elapsed = now.saturating_duration_since(running.since);
            if let Some(bars) = bars {
                if running.bar.is_none() && elapsed >= DRAW_AFTER {
                    running.bar = Some(spinner(bars, step, running));
                }
            } else if *slow_lines && elapsed >= threshold(running.told) {
                running.told += 1;
                let said = if running.said.is_empty() {
                    String::new()
                } else {
                    format!("  {}", running.said)
                };
                talker.talk(&format!(
                    "{step}  {} for {}{said}",
                    running.what,
                    duration::human(elapsed)
                ));
            }
        }
    }

    /// Takes everything from the screen.
    pub(super) fn clear(&self) {
        let mut inner = self.lock();
        for running in std::mem::take(&mut inner.running).into_values() {
            if let Some(bar) = running.bar {
                bar.finish_and_clear();
            }
        }
    }
}

/// 10 s, 30 s, 1 min, 2 min, 5 min, then every 5 min.
fn threshold(told: u32) -> Duration {
    Duration::from_secs(match told {
        0 => 10,
        1 => 30,
        2 => 60,
        3 => 120,
        n => 300 * u64::from(n - 3),
    })
}

fn spinner(bars: &MultiProgress, step: &str, running: &Running) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner().with_elapsed(running.since.elapsed()));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(match running.what {
        "running" => step.to_owned(),
        what => format!("{step} ({what})"),
    });
    bar.set_message(running.said.clone());
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Printer;
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    fn board(bars: Option<MultiProgress>) -> Board {
        let printer = Printer::new(crate::term::Level::Default, Some(false), &Default::default());
        Board::new(bars, Talker::new(Printer::plain(&printer), None), false)
    }

    #[test]
    fn intervals_grow() {
        let seconds: Vec<u64> = (0..7).map(|n| threshold(n).as_secs()).collect();
        assert_eq!(seconds, [10, 30, 60, 120, 300, 600, 900]);
    }

    #[test]
    fn what_is_over_at_once_is_not_drawn_and_the_rest_is() {
        let term = InMemoryTerm::new(10, 80);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let board = board(Some(MultiProgress::with_draw_target(target)));
        board.start("T01.a", "running");
        board.said("T01.a", "half \u{1b}[2Jway");
        board.tick(Instant::now());
        assert_eq!(term.contents(), "");
        board.tick(Instant::now() + DRAW_AFTER);
        board.lock().running["T01.a"].bar.as_ref().unwrap().tick();
        let shown = term.contents();
        assert!(shown.contains("T01.a") && shown.contains("half \\u{1b}[2Jway"), "{shown}");
        assert!(board.end("T01.a").is_some());
        assert_eq!(term.contents(), "");
        assert!(board.names().is_empty());
    }
}
