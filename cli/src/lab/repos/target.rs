//! The lab as a target.

use std::fmt::Write as _;

use super::values::text;
use crate::lab::folder::REPOS;
use crate::lab::shape::{GITEA, POSTGRES, Shape};

/// `targets/lab.yaml` of the lab's `railiance-platform`. Paths start at that repository.
pub(crate) fn target(shape: &Shape, ports: u16) -> String {
    let mut repos = String::new();
    for repo in REPOS {
        let _ = writeln!(repos, "  {repo}: ../{repo}");
    }
    format!(
        "# The lab: real servers on loopback, in this lab's own folder.\n\
         kind: local\n\
         local:\n  \
           dir: ../world\n  \
           ports: {ports}\n\
         repos:\n{repos}\
         databases:\n  \
           old: {{release: {}, namespace: {}, part: postgresql-ha, database: {database}}}\n  \
           new: {{release: {}, namespace: {}, database: {database}}}\n\
         backup:\n  \
           dir: ../backup\n  \
           layer: platform\n\
         sops:\n  \
           age_key_file: ../keys/age.txt\n\
         ha:\n  \
           recovery_window: 20s\n\
         values:\n  \
           database: {database}\n  \
           role: {role}\n",
        GITEA.0,
        GITEA.1,
        POSTGRES.0,
        POSTGRES.1,
        database = text(&shape.database),
        role = text(&shape.role),
    )
}
