//! A run as one HTML file that needs nothing else.

mod page;
mod timeline;

pub(crate) use page::page;
