//! What the step and the target say about backups. The step has the word.

use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

use workplan_engine::duration;
use workplan_engine::kind::{Look, ParamProblem, ParamSpec, ParamType, StepError, With};

use super::retention::Keep;
use super::store::Layer;

/// Where backups are, as a step says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Where {
    pub(super) dir: Option<String>,
    pub(super) layer: Option<String>,
}

pub(super) const DIR: ParamSpec = ParamSpec {
    name: "dir",
    ty: ParamType::String,
    required: false,
    doc: "The folder of all layers' backups; `backup.dir` of the target by default.",
};
pub(super) const LAYER: ParamSpec = ParamSpec {
    name: "layer",
    ty: ParamType::String,
    required: false,
    doc: "The layer, a folder in `dir`; `backup.layer` of the target by default, else the target's name.",
};

/// What both say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The folder of this layer.
    pub(super) folder: Layer,
    /// The layer's name.
    pub(super) layer: String,
    /// Public keys of those who can read.
    pub(super) recipients: Vec<String>,
    /// A file with a private key.
    pub(super) key: Option<PathBuf>,
    /// Where scratch servers keep their data.
    pub(super) scratch: Option<PathBuf>,
    /// Who scratch servers run as, where the engine is root.
    pub(super) account: Option<String>,
    /// How many are kept, and how long.
    pub(super) keep: Keep,
}

impl Where {
    pub(super) fn read(with: &With, problems: &mut Vec<ParamProblem>) -> Self {
        let read = Self {
            dir: with.str("dir").map(str::to_owned),
            layer: with.str("layer").map(str::to_owned),
        };
        if let Some(layer) = read.layer.as_deref().filter(|l| !l.contains("${{"))
            && !is_name(layer)
        {
            problems.push(ParamProblem::new("layer", bad_layer(layer)));
        }
        read
    }

    /// A name for the layer where the target's is not known yet.
    pub(super) fn resource(&self) -> String {
        format!("backup/{}", self.layer.as_deref().unwrap_or("-"))
    }

    /// With what the target says.
    ///
    /// # Errors
    /// When nobody says where backups are, or something that cannot be.
    pub(super) fn settings(&self, look: &Look) -> Result<Settings, StepError> {
        let place = &look.place;
        let dir = match (&self.dir, place.text("backup.dir")) {
            (Some(dir), _) => look.locate(dir)?,
            (None, Some(dir)) => place.path(dir),
            (None, None) => {
                return Err(StepError::failed(format!(
                    "nothing says where the backups of the target `{}` are",
                    place.name
                ))
                .with_help(
                    "add it to the target file: `backup: {dir: /opt/backup/railiance, layer: platform}`",
                ));
            }
        };
        let layer = self.layer.as_deref().or_else(|| place.text("backup.layer"));
        let layer = layer.unwrap_or(&place.name).to_owned();
        if !is_name(&layer) {
            return Err(StepError::failed(bad_layer(&layer)));
        }
        let keep = match place.value("backup.keep") {
            None => Keep::default(),
            Some(value) => Keep::read(value)
                .map_err(|why| StepError::failed(format!("`backup.keep` of the target: {why}")))?,
        };
        let path = |key: &str| place.text(key).map(|path| place.path(path));
        Ok(Settings {
            folder: Layer { root: dir.join(&layer) },
            layer,
            recipients: texts(place.value("backup.recipients")),
            key: path("backup.key"),
            scratch: path("backup.scratch"),
            account: place
                .text("backup.account")
                .or_else(|| place.text("local.user"))
                .map(str::to_owned),
            keep,
        })
    }
}

/// A list of texts, or one text.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => {
            items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        }
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn is_name(layer: &str) -> bool {
    !layer.is_empty() && !layer.starts_with('.') && !layer.contains(['/', '\0'])
}

fn bad_layer(layer: &str) -> String {
    format!("`{layer}` cannot be the name of a layer: it is the name of a folder")
}

impl Keep {
    /// Reads `{count: 14, age: 30d}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        const SHAPE: &str = "it is written `{count: 14, age: 30d}`";
        let map = value.as_object().ok_or(SHAPE)?;
        if let Some(key) = map.keys().find(|k| !["count", "age"].contains(&k.as_str())) {
            return Err(format!("there is no `{key}`; {SHAPE}"));
        }
        let count = match map.get("count") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                let number = number.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                Some(number.ok_or("`count` is a number from 1 on")?)
            }
        };
        let age = match map.get("age") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let age = value.as_str().and_then(duration::parse).filter(|d| !d.is_zero());
                let wrong = format!("`age` is a duration ({})", duration::EXAMPLES);
                Some(age.ok_or(wrong)?)
            }
        };
        if count.is_none() && age.is_none() {
            Err(SHAPE.to_owned())
        } else {
            Ok(Self { count, age })
        }
    }
}

/// The deadline of an attempt that gives none; the engine's own.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_is_read_from_numbers_and_texts() {
        let day = Duration::from_secs(86_400);
        for (value, count, age) in [
            (json!({"count": 7}), Some(7), None),
            (json!({"count": "7", "age": "30d"}), Some(7), Some(30 * day)),
            (json!({"age": "1d"}), None, Some(day)),
        ] {
            let keep = Keep::read(&value).unwrap();
            assert_eq!((keep.count, keep.age), (count, age), "{value}");
        }
        for value in
            [json!({}), json!(7), json!({"count": 0}), json!({"age": 30}), json!({"days": 3})]
        {
            assert!(Keep::read(&value).is_err(), "{value}");
        }
    }
}
