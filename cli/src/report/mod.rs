//! A run as one HTML file that needs nothing else.

mod outage;
mod page;
mod prose;
mod timeline;

pub(crate) use page::page;
