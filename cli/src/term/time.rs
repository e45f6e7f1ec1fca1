//! Times and durations for people and for JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;
use workplan_engine::duration;

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// RFC 3339 in UTC with milliseconds, for JSON.
pub(crate) fn iso_ms(ms: i64) -> String {
    format!("{:.3}", timestamp(ms))
}

/// Date and time of day, for people; UTC, and says so: two people on two continents read one
/// status.
pub(crate) fn local_ms(ms: i64) -> String {
    timestamp(ms).to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A span of milliseconds for people.
pub(crate) fn duration_ms(ms: i64) -> String {
    duration::human(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// How long ago something was.
pub(crate) fn ago(ms: i64) -> String {
    duration_ms((Timestamp::now().as_millisecond() - ms).max(0))
}
