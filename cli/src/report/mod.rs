//! A run for people who were not there: one HTML file that needs nothing else, or lines of text.

mod evidence;
mod outage;
mod page;
mod prose;
mod text;
mod timeline;

pub(crate) use page::page;
pub(crate) use text::lines;
