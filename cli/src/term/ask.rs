//! Questions.

use std::io::BufRead;

use super::{Printer, Style};

/// Asks a question whose answer is no unless somebody types yes. `false` also at the end of input.
pub(crate) fn confirm(printer: &Printer, question: &str) -> bool {
    printer.ask(&format!("{} [y/N] ", printer.err.paint(Style::Bold, question)));
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(read) if read > 0 => matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"),
        _ => {
            // Nobody ended the line.
            printer.talk("");
            false
        }
    }
}
