//! What a person is told when this program has a bug.

use crate::app::App;

/// From now on a panic is one report on stderr; it ends in exit code 70.
pub(crate) fn install(app: &App) {
    let state = app.state.as_ref().map_or_else(
        || "the state folder (see `workplan runs`)".to_owned(),
        |dir| format!("the state folder `{}`", dir.display()),
    );
    let printer = crate::term::Printer::plain(&app.printer);
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |l| format!(" at {l}"));
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without text".to_owned());
        printer.talk(&format!(
            "error: internal error: {what}{place}\n\
             This is a bug in workplan {}; please report it with this text.\n\
             What a run did so far is in the journal of {state}; \
             `workplan status` shows it and `workplan resume` goes on.",
            env!("CARGO_PKG_VERSION")
        ));
    }));
}
