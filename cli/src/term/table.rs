//! Columns of text.

use unicode_width::UnicodeWidthStr;

/// Rows whose columns stand under each other.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, usize)>>,
}

impl Table {
    /// Adds a row of plain cells.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells = cells.into_iter().map(Into::into).map(|c: String| (c.clone(), c.width()));
        self.rows.push(cells.collect());
    }

    /// Adds a row of painted cells, each with the text that it shows.
    pub(crate) fn painted(&mut self, cells: Vec<(String, String)>) {
        self.rows
            .push(cells.into_iter().map(|(plain, painted)| (painted, plain.width())).collect());
    }

    /// The text; two spaces between columns, nothing after the last.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|r| r.get(c)).map(|c| c.1).max().unwrap_or(0))
            .collect();
        self.rows
            .iter()
            .map(|row| {
                let mut line = String::new();
                for (c, (text, width)) in row.iter().enumerate() {
                    line.push_str(text);
                    if c + 1 < row.len() {
                        line.push_str(&" ".repeat(widths[c] - width + 2));
                    }
                }
                line.trim_end().to_owned()
            })
            .collect()
    }
}
