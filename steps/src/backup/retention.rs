//! Which backups may go.

use jiff::Timestamp;
use std::time::Duration;

use super::store::Id;

/// How many backups are kept, and how long. Where both are given, what one of them keeps stays.
/// Without either, everything stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Keep {
    /// The newest so many.
    pub(super) count: Option<usize>,
    /// Those younger than this.
    pub(super) age: Option<Duration>,
}

/// A finished backup, as far as this needs to know.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) id: Id,
    pub(super) made_at: Timestamp,
    /// It passed a verification.
    pub(super) verified: bool,
}

/// Those that may go, of backups sorted from the newest on. Of those that were verified, the newest
/// always stays; where none was, the newest backup stays.
pub(super) fn surplus(backups: &[Candidate], keep: Keep, now: Timestamp) -> Vec<Id> {
    if keep == Keep::default() {
        return Vec::new();
    }
    let last_good = backups.iter().position(|b| b.verified).unwrap_or(0);
    let stays = |index: usize, backup: &Candidate| {
        index == last_good
            || keep.count.is_some_and(|count| index < count)
            || keep.age.is_some_and(|age| age_of(backup.made_at, now) < age)
    };
    backups
        .iter()
        .enumerate()
        .filter(|(index, backup)| !stays(*index, backup))
        .map(|(_, backup)| backup.id.clone())
        .collect()
}

/// How old something is; nothing is younger than now, whatever the clocks say.
pub(super) fn age_of(made_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(made_at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    /// One backup a day, the newest a day old; those that passed are named by their index.
    fn left(count: usize, verified: &[usize], keep: Keep) -> Vec<usize> {
        let now = Timestamp::from_second(1_773_570_030).unwrap();
        let backups: Vec<Candidate> = (0..count)
            .map(|index| Candidate {
                id: Id::parse(&format!("202603{:02}T000000Z", 28 - index)).unwrap(),
                made_at: Timestamp::from_second(
                    now.as_second() - DAY * (i64::try_from(index).unwrap() + 1),
                )
                .unwrap(),
                verified: verified.contains(&index),
            })
            .collect();
        let gone = surplus(&backups, keep, now);
        (0..count).filter(|index| !gone.contains(&backups[*index].id)).collect()
    }

    fn keep(count: Option<usize>, days: Option<u64>) -> Keep {
        Keep { count, age: days.map(|d| Duration::from_secs(d * 86_400)) }
    }

    #[test]
    fn count_and_age_keep_what_either_keeps() {
        assert_eq!(left(5, &[0], keep(Some(2), None)), [0, 1]);
        assert_eq!(left(5, &[0], keep(None, Some(4))), [0, 1, 2]);
        assert_eq!(left(5, &[0], keep(Some(2), Some(4))), [0, 1, 2]);
        assert_eq!(left(5, &[0], keep(None, None)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_last_one_that_passed_stays_however_old() {
        assert_eq!(left(5, &[3, 4], keep(Some(1), None)), [0, 3]);
        assert_eq!(left(5, &[4], keep(None, Some(1))), [4]);
        assert_eq!(left(3, &[], keep(None, Some(1))), [0]);
        assert_eq!(left(0, &[], keep(Some(1), None)), [0; 0]);
    }
}
