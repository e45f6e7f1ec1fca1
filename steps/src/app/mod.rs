//! An application with an HTTP face, which is Gitea: whether it works, keeping people out, stopping
//! it, letting people in.
//!
//! - `check`: `app.check`; `proof` is what it does, by `login` (the form), `api` and `git`
//! - `drain`: `app.drain`
//! - `stop`: `app.stop`; `sessions` asks the application's database who is in it
//! - `traffic`: `traffic.open`; `since` counts what users have done since
//! - `target`: which application, and waiting for it
//! - `site`: one Gitea over HTTP
//!
//! Everything goes through the platform: where the application listens, who its administrator is,
//! how many of it run.

mod api;
mod check;
mod drain;
mod git;
mod login;
mod miss;
mod proof;
mod queues;
mod sessions;
mod since;
mod site;
mod stop;
mod target;
mod traffic;

pub use check::AppCheck;
pub use drain::AppDrain;
pub use stop::AppStop;
pub use traffic::TrafficOpen;

use workplan_platform::Traffic;

/// A state of the way in as facts and undo data have it.
fn word(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Open => "open",
        Traffic::Shut => "shut",
        Traffic::None => "none",
    }
}
