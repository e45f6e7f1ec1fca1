//! A live object in the shape of what was wanted: what the server and others added is left out.

use serde_json::{Map, Value};

/// The part of `live` that `wanted` speaks of, as Helm's three-way merge sees it.
///
/// A key that is wanted and not there is left out, so that it shows as a difference. Elements of a
/// list are found by their `name`, where all of them have one.
pub(super) fn in_shape_of(wanted: &Value, live: &Value) -> Value {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .filter_map(|(key, wanted)| Some((key.clone(), in_shape_of(wanted, live.get(key)?))))
            .collect::<Map<_, _>>()
            .into(),
        (Value::Array(wanted), Value::Array(live)) => list(wanted, live).into(),
        (Value::String(wanted), live) if same_text(wanted, live) => Value::from(wanted.as_str()),
        (wanted, Value::String(live)) if same_text(live, wanted) => wanted.clone(),
        (_, live) => live.clone(),
    }
}

fn list(wanted: &[Value], live: &[Value]) -> Vec<Value> {
    let name = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
    if !wanted.is_empty() && wanted.iter().chain(live).all(|v| name(v).is_some()) {
        return wanted
            .iter()
            .filter_map(|w| {
                let found = live.iter().find(|l| name(l) == name(w))?;
                Some(in_shape_of(w, found))
            })
            .collect();
    }
    let more = live.iter().skip(wanted.len()).cloned();
    wanted.iter().zip(live).map(|(w, l)| in_shape_of(w, l)).chain(more).collect()
}

/// Quantities and numbers that are the same to the server: `1000m` and `1`, `"80"` and `80`.
fn same_text(text: &str, other: &Value) -> bool {
    match other {
        Value::Number(number) => number.to_string() == text,
        Value::String(other) => {
            text != other && quantity(text).is_some() && quantity(text) == quantity(other)
        }
        _ => false,
    }
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<u128> {
    const UNITS: &[(&str, u128)] = &[
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    if let Some(thousandths) = text.strip_suffix('m') {
        return thousandths.parse().ok();
    }
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, by)| Some((text.strip_suffix(unit)?, *by)))
        .unwrap_or((text, 1));
    number.parse::<u128>().ok()?.checked_mul(unit)?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_added_is_left_out_and_what_differs_shows() {
        let wanted = json!({"replicas": 3, "gone": 1, "cpu": "1000m", "port": "80",
            "containers": [{"name": "a", "image": "x:2"}, {"name": "b"}]});
        let live = json!({"replicas": 2, "added": true, "cpu": "1", "port": 80,
            "containers": [{"name": "sidecar"}, {"name": "a", "image": "x:1", "tty": false}]});
        assert_eq!(
            in_shape_of(&wanted, &live),
            json!({"replicas": 2, "cpu": "1000m", "port": "80",
                "containers": [{"name": "a", "image": "x:1"}]})
        );
    }

    #[test]
    fn lists_without_names_are_compared_by_place() {
        let wanted = json!(["a", "b"]);
        assert_eq!(in_shape_of(&wanted, &json!(["a", "c", "d"])), json!(["a", "c", "d"]));
        assert_eq!(
            in_shape_of(&json!([{"port": 1}]), &json!([{"port": 1, "x": 2}])),
            json!([{"port": 1}])
        );
    }
}
