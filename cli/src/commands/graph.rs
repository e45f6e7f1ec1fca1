//! `workplan graph`: the steps and their order, drawn.

use crate::app::App;
use crate::args::{Graph, GraphFormat};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::graph::{self, Drawing};

use super::load;

/// Draws a workplan.
pub(crate) fn graph(app: &App, args: &Graph) -> Result<Exit, Failure> {
    let ready = load::ready(app, &args.file, &args.sources)?;
    let drawing = Drawing::of(ready.plan()?);
    app.printer.data(&match args.format {
        GraphFormat::Mermaid => graph::mermaid(&drawing),
        GraphFormat::Dot => graph::dot(&drawing),
        GraphFormat::Svg => graph::svg(&drawing),
    });
    Ok(exit::DONE)
}
