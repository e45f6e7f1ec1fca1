//! Files of the machine that the engine runs on.
//!
//! - `content`, `step`: parameters of `file.content`, and what it sees, shows, does and takes back
//! - `edit`: parameters of `file.edit`, and the replacement
//! - `make`, `makefile`: parameters of `make.target`, its edit, and reading a Makefile
//! - `edit_step`: what all steps share that change a part of a file
//! - `place`: what is at a path now
//! - `replace`: writing so that there is always the old file or the new one
//! - `undo`: the way back, while the file is as the step left it
//! - `wanted`: content, permissions and owner with everything resolved
//! - `owner`: names of users and groups
//!
//! What replacing cannot keep: hard links, ACLs and extended attributes of the old file.

mod content;
mod edit;
mod edit_step;
mod make;
mod makefile;
mod owner;
mod place;
mod replace;
mod step;
mod undo;
mod wanted;

pub use content::FileContent;
pub use edit::FileEdit;
pub use make::MakeTarget;

// What other families need that change files.
pub(crate) use edit::file_and_commit;
pub(crate) use edit_step::said;
pub(crate) use place::{Place, look as look_at, missing_folders, temporary};
pub(crate) use replace::{put, remove, remove_empty, remove_temporary};
pub(crate) use step::plain;
pub(crate) use undo::{by_others, left_alone, lost, not_started};
