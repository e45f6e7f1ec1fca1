//! Durations as people write them.

use std::time::Duration;

/// For messages.
pub const EXAMPLES: &str = "`500ms`, `60s`, `5m`, `1h30m`, `7d`";

/// Reads `500ms`, `60s`, `5m`, `1h30m`, `7d`. `None` for anything else, also for more than about
/// 300 years and for a bare number: whether seconds or minutes were meant is not ours to guess.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        rest = rest[letters..].trim_start();
        total_ms = total_ms.checked_add(number.checked_mul(unit_ms)?)?;
    }
    if text.is_empty() || total_ms > 10_000_000_000_000 {
        return None;
    }
    Some(Duration::from_millis(total_ms))
}

/// The shortest text that [`parse`] reads back, for example `1h30m`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        let count = ms / size;
        ms %= size;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    out
}

/// For people: two significant units, `1.2 s`, `340 ms`, `2 min 5 s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse("60s"), Some(Duration::from_secs(60)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("1h 30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
        for bad in ["", "5", "s", "1x", "-1s", "1.5s", "99999999999999999999s", "9999999999d"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn format_reads_back() {
        for ms in [1, 999, 1_000, 61_001, 5_400_000, 604_800_000] {
            let d = Duration::from_millis(ms);
            assert_eq!(parse(&format(d)), Some(d));
        }
    }
}
