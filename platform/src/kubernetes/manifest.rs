//! What a chart made: YAML documents, as objects that can be asked for by name.

use std::path::Path;

use base64::Engine as _;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

use crate::PlatformError;

/// Kinds of objects that belong to no namespace and that charts make.
const WITHOUT_NAMESPACE: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) kind: String,
    pub(super) name: String,
    /// Where; `None` for an object of the whole cluster.
    pub(super) namespace: Option<String>,
    /// `apiVersion`.
    version: String,
    /// The whole of it. A Secret's values stand under `data` as plain text.
    pub(super) body: Value,
}

impl Wanted {
    /// Where the API has objects of this kind.
    pub(super) fn resource(&self) -> ApiResource {
        let (group, version) = self.version.split_once('/').unwrap_or(("", &self.version));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &self.kind))
    }
}

/// The objects of a manifest, sorted by kind and name. `namespace` is the release's.
///
/// # Errors
/// When a document cannot be read.
pub(super) fn objects(
    name: &str,
    manifest: &str,
    namespace: &str,
) -> Result<Vec<Wanted>, PlatformError> {
    let mut found = Vec::new();
    for text in documents(manifest) {
        let read = crate::values::manifest(Path::new(&format!("manifest of {name}")), &text)?;
        let items = match (read.get("kind").and_then(Value::as_str), read.get("items")) {
            (Some(kind), Some(Value::Array(items))) if kind.ends_with("List") => items.clone(),
            _ => vec![read],
        };
        found.extend(items.into_iter().filter_map(|item| wanted(item, namespace)));
    }
    found.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    Ok(found)
}

fn wanted(mut body: Value, namespace: &str) -> Option<Wanted> {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
    let kind = text(body.get("kind"))?;
    let version = text(body.get("apiVersion"))?;
    let name = text(body.pointer("/metadata/name"))?;
    let own = text(body.pointer("/metadata/namespace"));
    let namespace = match WITHOUT_NAMESPACE.contains(&kind.as_str()) {
        true => None,
        false => Some(own.unwrap_or_else(|| namespace.to_owned())),
    };
    if kind == "Secret" {
        plain_secret(&mut body);
    }
    Some(Wanted { kind, name, namespace, version, body })
}

/// Puts what a Secret says in its two ways under `data`, as plain text.
pub(super) fn plain_secret(body: &mut Value) {
    let Some(map) = body.as_object_mut() else { return };
    let mut data = Map::new();
    if let Some(Value::Object(encoded)) = map.remove("data") {
        for (key, value) in encoded {
            let bytes = value
                .as_str()
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            let text = bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
            data.insert(key, text.map_or(value, Value::from));
        }
    }
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        data.extend(plain);
    }
    map.insert("data".to_owned(), Value::Object(data));
}

/// The documents of a text; a line `---` is between them.
fn documents(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    all.retain(|t| t.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')));
    all
}

/// What of an object says something about the world: without what the server adds for itself.
pub(super) fn meaning(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(map) = body.as_object_mut() {
        for key in ["apiVersion", "kind", "status"] {
            map.remove(key);
        }
    }
    let labels = body.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let mut notes = body.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
    if let Some(notes) = notes.as_object_mut() {
        notes.retain(|key, _| !key.starts_with("meta.helm.sh/"));
    }
    if let Some(map) = body.as_object_mut() {
        map.insert("metadata".to_owned(), json!({"labels": labels, "annotations": notes}));
    }
    without_nothing(body)
}

/// Without keys whose value is nothing: `null`, `{}`, `[]` and no key are one to the server.
pub(super) fn without_nothing(value: Value) -> Value {
    let is_something = |v: &Value| match v {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(k, v)| (k, without_nothing(v)))
            .filter(|(_, v)| is_something(v))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(without_nothing).collect::<Vec<_>>().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_objects_with_their_place() {
        let text = "---\n# Source: a\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n\
                    data: {a: aGk=}\nstringData: {b: no}\n---\n\n---\napiVersion: apps/v1\n\
                    kind: StatefulSet\nmetadata:\n  name: d\n  namespace: other\nspec: {x: 0644}\n\
                    ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
                    metadata: {name: c}\n";
        let all = objects("r", text, "ns").unwrap();
        let places: Vec<_> = all
            .iter()
            .map(|w| (w.kind.as_str(), w.name.as_str(), w.namespace.as_deref()))
            .collect();
        assert_eq!(
            places,
            [
                ("ClusterRole", "c", None),
                ("Secret", "s", Some("ns")),
                ("StatefulSet", "d", Some("other")),
            ]
        );
        assert_eq!(all[1].body["data"]["a"], "hi");
        assert_eq!(all[2].body["spec"]["x"], 420);
        assert_eq!(all[2].resource().plural, "statefulsets");
    }

    #[test]
    fn the_servers_own_says_nothing() {
        let body = json!({"apiVersion": "v1", "kind": "Service", "status": {"a": 1}, "metadata": {
            "name": "x", "uid": "1", "labels": {"a": "b"},
            "annotations": {"meta.helm.sh/release-name": "r"}}, "spec": {"ports": [], "a": {"b": null}}});
        assert_eq!(meaning(&body), json!({"metadata": {"labels": {"a": "b"}}}));
    }
}
