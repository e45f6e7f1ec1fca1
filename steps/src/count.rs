//! Numbers with their nouns.

use std::fmt::Display;

/// `1 table`, `2 tables`, `3 pushes`.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(number: N, one: &str) -> String {
    let ending = match one {
        _ if number == N::from(1) => "",
        _ if one.ends_with("sh") => "es",
        _ => "s",
    };
    format!("{number} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn nouns_follow_their_numbers() {
        let all = [(0_i64, "push"), (1, "push"), (2, "user")].map(|(n, one)| count(n, one));
        assert_eq!(all, ["0 pushes", "1 push", "2 users"]);
        assert_eq!(count(1_usize, "table"), "1 table");
    }
}
