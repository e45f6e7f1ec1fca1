//! Where steps happen: the code behind a target.
