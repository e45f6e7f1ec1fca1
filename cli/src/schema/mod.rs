//! JSON Schemas: what people write is described from the catalogue, what we print from the types
//! that print it.

mod engine;
mod files;
mod kinds;
mod outputs;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::catalogue;

/// The dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Names of all schemas, each with a line about it.
pub(crate) fn names() -> Vec<(String, String)> {
    let fixed = files::NAMES.iter().chain(outputs::NAMES);
    let mut names: Vec<(String, String)> =
        fixed.map(|(name, about)| ((*name).to_owned(), (*about).to_owned())).collect();
    for kind in catalogue::all().iter() {
        names.push((format!("kind/{}", kind.name()), format!("`with` of `{}`", kind.name())));
    }
    names
}

/// The schema of a name.
pub(crate) fn of(name: &str) -> Option<Value> {
    let mut schema = match name.strip_prefix("kind/") {
        Some(kind) => kinds::with(catalogue::all().get(kind)?.as_ref()),
        None => files::of(name).or_else(|| outputs::of(name))?,
    };
    let map = schema.as_object_mut()?;
    map.insert("$schema".to_owned(), DIALECT.into());
    map.insert("$id".to_owned(), format!("workplan/{name}/v1").into());
    Some(schema)
}
