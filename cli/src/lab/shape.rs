//! What a lab is made of: pure data that follows from seed and size.

use super::seed::Draw;

/// Blocks of ports start here, below the range that the kernel gives to outgoing connections.
pub(crate) const FIRST_PORT: u16 = 20_000;
/// How many ports a lab may use.
pub(crate) const PORTS: u16 = 100;
/// How many blocks there are.
const BLOCKS: u16 = 120;

/// Release and namespace of Gitea in the old world, and after it.
pub(crate) const GITEA: (&str, &str) = ("gitea", "default");
/// Release and namespace of the standalone PostgreSQL.
pub(crate) const POSTGRES: (&str, &str) = ("postgresql-ha", "platform");

/// What a lab is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The seed.
    pub(crate) seed: u64,
    /// The size, from 1.
    pub(crate) size: u32,
    /// Gitea's database.
    pub(crate) database: String,
    /// The role that Gitea logs in with.
    pub(crate) role: String,
    /// Gitea's administrator.
    pub(crate) admin: String,
    /// The passwords.
    pub(crate) passwords: Passwords,
}

/// The passwords of the old world.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Passwords {
    /// Of Gitea's role.
    pub(crate) role: String,
    /// Of PostgreSQL's superuser.
    pub(crate) superuser: String,
    /// Of repmgr.
    pub(crate) repmgr: String,
    /// Of pgpool's control port.
    pub(crate) pooler_admin: String,
    /// Of pgpool's own check.
    pub(crate) sr_check: String,
    /// Of Valkey; letters and digits.
    pub(crate) valkey: String,
    /// Of Gitea's administrator.
    pub(crate) admin: String,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(…)")
    }
}

const BIRDS: &[&str] = &[
    "heron",
    "kestrel",
    "plover",
    "wren",
    "siskin",
    "dipper",
    "curlew",
    "avocet",
    "bittern",
    "dunlin",
    "fulmar",
    "gannet",
    "hoopoe",
    "jackdaw",
    "linnet",
    "merlin",
    "nuthatch",
    "osprey",
    "pipit",
    "redstart",
    "sanderling",
    "teal",
    "whimbrel",
];

impl Shape {
    /// The lab of a seed and a size.
    pub(crate) fn new(seed: u64, size: u32) -> Self {
        let mut names = Draw::new(seed, "names");
        let bird = names.word(BIRDS);
        let title: String = bird
            .chars()
            .enumerate()
            .map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c })
            .collect();
        // Names that need quotes in SQL are as legal as those that do not.
        let (database, role) = match names.below(3) {
            0 => (format!("gitea_{bird}"), format!("{bird}_app")),
            1 => (format!("gitea-{bird}"), format!("{bird}-app")),
            _ => (format!("Gitea{title}"), format!("{title}App")),
        };
        let password = |of: &str| Draw::new(seed, &format!("password of {of}")).password();
        let plain = |of: &str| Draw::new(seed, &format!("password of {of}")).plain(24);
        Self {
            seed,
            size: size.max(1),
            database,
            role,
            admin: format!("{}-admin", names.word(BIRDS)),
            passwords: Passwords {
                role: password("role"),
                superuser: password("superuser"),
                repmgr: password("repmgr"),
                pooler_admin: password("pooler admin"),
                sr_check: password("sr check"),
                valkey: plain("valkey"),
                admin: password("admin"),
            },
        }
    }

    /// First ports of the blocks in the order in which they are tried; the seed says where it
    /// begins.
    pub(crate) fn port_blocks(&self) -> impl Iterator<Item = u16> {
        let start = Draw::new(self.seed, "ports").below(usize::from(BLOCKS));
        let start = u16::try_from(start).unwrap_or(0);
        (0..BLOCKS).map(move |n| FIRST_PORT + (start + n) % BLOCKS * PORTS)
    }

    /// Names of Gitea's users.
    pub(crate) fn users(&self) -> Vec<String> {
        let mut draw = Draw::new(self.seed, "users");
        let mut birds = BIRDS.to_vec();
        draw.shuffle(&mut birds);
        let count = 3 + usize::try_from(self.size).unwrap_or(1);
        (0..count)
            .map(|n| match n / birds.len() {
                0 => birds[n % birds.len()].to_owned(),
                round => format!("{}{}", birds[n % birds.len()], round + 1),
            })
            .collect()
    }

    /// The organisation.
    pub(crate) fn organisation(&self) -> String {
        format!("{}-works", Draw::new(self.seed, "organisation").word(BIRDS))
    }

    /// Repositories as `(owner, name)`: `N` of the organisation and `N` of users.
    pub(crate) fn repositories(&self) -> Vec<(String, String)> {
        const THINGS: &[&str] = &[
            "ledger", "atlas", "kiln", "loom", "beacon", "quarry", "orchard", "harbor", "mill",
            "granary", "forge", "lantern",
        ];
        let mut draw = Draw::new(self.seed, "repositories");
        let mut things = THINGS.to_vec();
        draw.shuffle(&mut things);
        let (size, users) = (usize::try_from(self.size).unwrap_or(1), self.users());
        let name = |n: usize| match n / things.len() {
            0 => things[n % things.len()].to_owned(),
            round => format!("{}.{}", things[n % things.len()], round + 1),
        };
        let shared = (0..size).map(|n| (self.organisation(), name(n)));
        let own = (0..size).map(|n| (users[n % users.len()].clone(), name(size + n)));
        shared.chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_makes_the_same_lab() {
        assert_eq!(Shape::new(42, 3), Shape::new(42, 3));
        assert_eq!(Shape::new(42, 3).repositories(), Shape::new(42, 3).repositories());
        assert_ne!(Shape::new(42, 1).passwords, Shape::new(43, 1).passwords);
    }

    #[test]
    fn seeds_differ_in_names_and_ports() {
        let labs: Vec<Shape> = (0..60).map(|seed| Shape::new(seed, 1)).collect();
        let different =
            |of: &dyn Fn(&Shape) -> String| labs.iter().map(of).collect::<BTreeSet<_>>().len();
        assert!(different(&|l| l.database.clone()) > 20);
        assert!(different(&|l| l.port_blocks().next().unwrap_or_default().to_string()) > 20);
        assert_eq!(different(&|l| l.passwords.superuser.clone()), 60);
    }

    #[test]
    fn ports_stay_clear_of_outgoing_connections() {
        for seed in 0..40 {
            for block in Shape::new(seed, 1).port_blocks() {
                assert!(block >= 20_000 && block + PORTS < 32_768);
            }
        }
    }

    #[test]
    fn names_are_many_and_different() {
        let lab = Shape::new(5, 40);
        let users: BTreeSet<_> = lab.users().into_iter().collect();
        assert_eq!(users.len(), 43);
        let repos: BTreeSet<_> = lab.repositories().into_iter().collect();
        assert_eq!(repos.len(), 80);
    }
}
