//! `workplan schema`: JSON Schemas.

use crate::app::App;
use crate::args::Schema;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::schema;

/// Prints a schema, or the names of all.
pub(crate) fn schema(app: &App, args: &Schema) -> Result<Exit, Failure> {
    let Some(name) = &args.name else {
        for (name, about) in schema::names() {
            app.printer.data_line(&format!("{name:<22}{about}"));
        }
        return Ok(exit::DONE);
    };
    match schema::of(name) {
        Some(document) => app.printer.json(&document)?,
        None => {
            let names: Vec<String> = schema::names().into_iter().map(|(n, _)| n).collect();
            let near = workplan_engine::text::did_you_mean(name, names.iter().map(String::as_str));
            return Err(Failure::usage(format!("there is no schema `{name}`"))
                .with_help(near.unwrap_or_else(|| "`workplan schema` lists them".to_owned())));
        }
    }
    Ok(exit::DONE)
}
