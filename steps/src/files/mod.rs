//! Files of the machine that the engine runs on.
//!
//! - `content`: parameters of `file.content`
//! - `step`: what it sees, shows, does and takes back
//! - `place`: what is at a path now
//! - `replace`: writing so that there is always the old file or the new one
//! - `undo`: the way back, while the file is as the step left it
//! - `wanted`: content, permissions and owner with everything resolved
//! - `owner`: names of users and groups
//!
//! What replacing cannot keep: hard links, ACLs and extended attributes of the old file.

mod content;
mod owner;
mod place;
mod replace;
mod step;
mod undo;
mod wanted;

pub use content::FileContent;
