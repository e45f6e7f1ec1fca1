//! Dotted keys, as Helm writes them: `a.b.c`, and `a\.b` for a key with a dot in it.

use serde_json::{Map, Value};

/// Keys and list indices.
pub(crate) type Path = Vec<String>;

/// Reads a dotted key.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Path, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = parts.len() - 1;
        match c {
            '.' => parts.push(String::new()),
            '\\' => parts[last].extend(chars.next()),
            c => parts[last].push(c),
        }
    }
    if parts.iter().any(String::is_empty) {
        return Err(format!("`{text}` is no key: a part of it is empty"));
    }
    Ok(parts)
}

/// A path as a dotted key.
pub(crate) fn show<S: AsRef<str>>(path: &[S]) -> String {
    let parts: Vec<String> =
        path.iter().map(|p| p.as_ref().replace('\\', "\\\\").replace('.', "\\.")).collect();
    parts.join(".")
}

/// A path as the methods of values take it.
pub(crate) fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// What is set, leaf by leaf. The keys of the outermost mapping may be dotted; those inside of it
/// are taken as they are. Lists and empty mappings are leaves.
///
/// # Errors
/// A sentence for a key that cannot be one.
pub(crate) fn leaves(set: &Map<String, Value>) -> Result<Vec<(Path, Value)>, String> {
    let mut out = Vec::new();
    for (key, value) in set {
        walk(&mut parse(key)?, value, &mut out);
    }
    // A resumed run reads its parameters from the journal, which has its own order; the file that
    // comes of it must be the same.
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// The leaves of a tree, each with its keys as they are. Lists and empty mappings are leaves.
pub(crate) fn tree_leaves(tree: &Map<String, Value>) -> Vec<(Path, Value)> {
    let mut out = Vec::new();
    for (key, value) in tree {
        walk(&mut vec![key.clone()], value, &mut out);
    }
    out
}

fn walk(at: &mut Path, value: &Value, out: &mut Vec<(Path, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                at.push(key.clone());
                walk(at, value, out);
                at.pop();
            }
        }
        leaf => out.push((at.clone(), leaf.clone())),
    }
}

/// The value at a path.
pub(crate) fn get<'v>(tree: &'v Map<String, Value>, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(tree.get(first)?, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// Sets the value at a path; mappings on the way are made. Lists are not made longer.
///
/// # Errors
/// A sentence, where the path leads past the end of a list.
pub(crate) fn set(
    tree: &mut Map<String, Value>,
    path: &[String],
    value: Value,
) -> Result<(), String> {
    let Some((last, way)) = path.split_last() else { return Ok(()) };
    let outside = || format!("`{}` leads past the end of a list", show(path));
    let slot = |slot: &mut Value, part: &str| match slot {
        Value::Array(items) => part.parse::<usize>().is_ok_and(|n| n < items.len()),
        Value::Object(_) => true,
        other => {
            *other = Value::Object(Map::new());
            true
        }
    };
    let mut root = Value::Object(std::mem::take(tree));
    let mut at = &mut root;
    let mut fits = true;
    for part in way.iter().chain([last]) {
        if !slot(at, part) {
            fits = false;
            break;
        }
        at = match at {
            Value::Array(items) => {
                match part.parse::<usize>().ok().and_then(|n| items.get_mut(n)) {
                    Some(item) => item,
                    None => return Err(outside()),
                }
            }
            Value::Object(map) => map.entry(part.clone()).or_insert(Value::Null),
            _ => return Err(outside()),
        };
    }
    if fits {
        *at = value;
    }
    if let Value::Object(map) = root {
        *tree = map;
    }
    if fits { Ok(()) } else { Err(outside()) }
}

/// Takes a key away. What was a mapping stays one.
pub(crate) fn remove(tree: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            tree.shift_remove(last);
        }
        [first, rest @ ..] => {
            if let Some(value) = tree.get_mut(first) {
                remove_in(value, rest);
            }
        }
    }
}

fn remove_in(value: &mut Value, path: &[String]) {
    match value {
        Value::Object(map) => remove(map, path),
        Value::Array(items) => {
            if let [first, rest @ ..] = path
                && let Some(item) = first.parse::<usize>().ok().and_then(|n| items.get_mut(n))
            {
                remove_in(item, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn keys_may_be_dotted_nested_and_both() {
        let set = map(json!({
            "postgresql-ha.enabled": false,
            "ingress": {"annotations": {"nginx.ingress/x": "1"}, "hosts": ["a"], "tls": {}},
            "a\\.b.c": 1,
        }));
        let shown: Vec<(String, Value)> =
            leaves(&set).unwrap().into_iter().map(|(path, value)| (show(&path), value)).collect();
        // In the order of their keys, wherever the parameters came from.
        assert_eq!(
            shown,
            [
                ("a\\.b.c".to_owned(), json!(1)),
                ("ingress.annotations.nginx\\.ingress/x".to_owned(), json!("1")),
                ("ingress.hosts".to_owned(), json!(["a"])),
                ("ingress.tls".to_owned(), json!({})),
                ("postgresql-ha.enabled".to_owned(), json!(false)),
            ]
        );
        for bad in ["", ".a", "a..b", "a."] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn trees_are_changed_at_a_path() {
        let mut tree = map(json!({"a": {"b": 1}, "l": [{"x": 1}], "s": "t"}));
        let path = |p: &str| parse(p).unwrap();
        set(&mut tree, &path("a.c.d"), json!(2)).unwrap();
        set(&mut tree, &path("l.0.x"), json!(3)).unwrap();
        set(&mut tree, &path("s.t"), json!(4)).unwrap();
        assert!(set(&mut tree, &path("l.1.x"), json!(5)).is_err());
        remove(&mut tree, &path("a.b"));
        remove(&mut tree, &path("a.none.x"));
        remove(&mut tree, &path("l.0.x"));
        assert_eq!(
            Value::Object(tree.clone()),
            json!({"a": {"c": {"d": 2}}, "l": [{}], "s": {"t": 4}})
        );
        assert_eq!(get(&tree, &path("a.c.d")), Some(&json!(2)));
        assert_eq!(get(&tree, &path("l.7")), None);
    }
}
