//! What a seed decides: numbers and names that look drawn and are the same every time.

use sha2::{Digest as _, Sha256};

/// A stream of numbers that depends on the seed and on what it is for, and on nothing else: what
/// is drawn for one thing does not move what is drawn for another.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    state: u64,
}

impl Draw {
    /// The stream of a seed for a purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"workplan lab\0");
        hash.update(seed.to_be_bytes());
        hash.update(purpose.as_bytes());
        let mut start = [0; 8];
        start.copy_from_slice(&hash.finalize()[..8]);
        Self { state: u64::from_be_bytes(start) }
    }

    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The bias of the remainder is far below anything that a lab could show.
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.next().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    /// One of them; `None` of an empty list.
    pub(crate) fn of<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }

    /// One of the words.
    pub(crate) fn word(&mut self, list: &[&'static str]) -> &'static str {
        self.of(list).copied().unwrap_or_default()
    }

    /// Bytes that do not compress.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_be_bytes());
        }
        out.truncate(len);
        out
    }

    /// Mixes a list.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// Letters and digits.
    pub(crate) fn plain(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789";
        (0..len).map(|_| char::from(self.of(LETTERS).copied().unwrap_or(b'x'))).collect()
    }

    /// A password with everything in it that breaks a careless connection string, shell line,
    /// `.pgpass` or `printf`: `'`, `%`, `:`, `/`, a blank, and letters that are no ASCII. Without
    /// `;` and `,`, which part the pooler's list of users. What is no ASCII is the same after
    /// SASLprep (RFC 4013), since not every client prepares what it sends.
    pub(crate) fn password(&mut self) -> String {
        const HARD: &[char] = &['\'', '%', ':', '/', ' '];
        const FOREIGN: &[char] = &['ü', 'ß', 'é', 'ø', 'ñ', 'ч', '語'];
        let mut inner: Vec<char> = self.plain(10).chars().collect();
        inner.extend_from_slice(HARD);
        inner.extend((0..2).filter_map(|_| self.of(FOREIGN).copied()));
        self.shuffle(&mut inner);
        // No blank at an end: some tools take it for their own.
        let ends = self.plain(2);
        let (first, last) = ends.split_at(1);
        format!("{first}{}{last}", inner.into_iter().collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_and_a_purpose_its_own() {
        let draw = |seed, purpose| Draw::new(seed, purpose).bytes(64);
        assert_eq!(draw(7, "ports"), draw(7, "ports"));
        assert_ne!(draw(7, "ports"), draw(8, "ports"));
        assert_ne!(draw(7, "ports"), draw(7, "names"));
    }

    #[test]
    fn passwords_are_hard_but_allowed() {
        for seed in 0..200 {
            let password = Draw::new(seed, "password").password();
            for hard in ['\'', '%', ':', '/', ' '] {
                assert!(password.contains(hard), "{password}");
            }
            assert!(!password.is_ascii(), "{password}");
            assert!(!password.contains([';', ',', '\n', '"', '\\', '$', '`']), "{password}");
            assert_eq!(password, password.trim());
        }
    }

    #[test]
    fn nothing_to_draw_from_is_no_panic() {
        let mut draw = Draw::new(1, "");
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.of::<u8>(&[]), None);
    }
}
