//! Passwords that stand in the arguments of `do`.

use serde_json::{Value, json};
use workplan_engine::kind::{Kind, ParamType, Secret};
use workplan_platform::split_password;

/// Parameters as they may be kept, and the passwords that stood in them, in the order of their
/// `given:N`.
pub(super) struct Given {
    pub(super) with: Vec<(String, Value)>,
    pub(super) secrets: Vec<Secret>,
}

/// Takes the password out of every database URL: what is bound, shown and journaled is
/// `{url: …, password: given:N}`, and only this process knows what `given:N` is.
pub(super) fn take(kind: &dyn Kind, with: &[(String, String)]) -> Given {
    let mut given = Given { with: Vec::new(), secrets: Vec::new() };
    for (key, text) in with {
        let takes = kind.params().iter().any(|p| p.name == key && p.ty == ParamType::Value);
        let value = match split_password(text).filter(|_| takes) {
            Some((url, password)) => {
                let number = given.secrets.len();
                given.secrets.push(password);
                json!({"url": url, "password": format!("given:{number}")})
            }
            None => Value::from(text.as_str()),
        };
        given.with.push((key.clone(), value));
    }
    given
}
