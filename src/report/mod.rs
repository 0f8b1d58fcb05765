//! Tables of results: aligned text for people, CSV and JSON Lines for programs.
//!
//! ```
//! use orthogap::report::{Table, Value};
//!
//! let mut table = Table::new(["width", "gap"]);
//! table.push([Value::from(64u64), 0.125.into()])?;
//! table.push([Value::from(4096u64), f64::NAN.into()])?; // neither CSV nor JSON has a NaN
//! assert_eq!(table.csv(), "width,gap\n64,0.125\n4096,\n");
//! assert_eq!(table.json_lines()?, "{\"width\":64,\"gap\":0.125}\n{\"width\":4096,\"gap\":null}\n");
//! assert_eq!(table.to_string(), "width      gap\n   64  0.12500\n 4096\n");
//! # Ok::<(), orthogap::Error>(())
//! ```

pub mod file;

use std::fmt::{self, Write};

use crate::{Error, Result, json};

/// A table of values with named columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// An entry of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Words.
    Text(String),
    /// A count.
    Integer(u64),
    /// A finite number, written so that it reads back to the same bits.
    Number(f64),
    /// No value: an empty field, `null` in JSON.
    Missing,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Integer(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Integer(count as u64)
    }
}

/// NaN and infinities, which CSV and JSON do not have, become [`Value::Missing`].
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Missing }
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

impl Table {
    /// Creates a table without rows.
    #[must_use]
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. A row that is too short ends in [`Value::Missing`]; numbers that are not finite
    /// become [`Value::Missing`], too.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for more values than there are columns.
    pub fn push(&mut self, row: impl IntoIterator<Item = Value>) -> Result<()> {
        let finite = |value| if let Value::Number(number) = value { number.into() } else { value };
        let mut row: Vec<Value> = row.into_iter().map(finite).collect();
        if row.len() > self.columns.len() {
            let (found, expected) = ((1, row.len()), (1, self.columns.len()));
            return Err(Error::ShapeMismatch { what: "a row of the table", found, expected });
        }
        row.resize(self.columns.len(), Value::Missing);
        self.rows.push(row);
        Ok(())
    }

    /// Returns the names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the rows, a value for each column.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    /// Returns comma-separated values with a header, as in RFC 4180 except for plain line feeds.
    /// [`file::write()`] writes them to a file.
    ///
    /// An empty field is a missing value or an empty text. In a table of one column it is written as
    /// `""`, since readers skip empty lines.
    #[must_use]
    pub fn csv(&self) -> String {
        let header = self.columns.iter().map(|name| quoted(name)).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(csv_field).collect());
        std::iter::once(header).chain(rows).map(csv_line).collect()
    }

    /// Returns JSON Lines: an object for each row.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if two columns have the same name, of which readers would keep one.
    pub fn json_lines(&self) -> Result<String> {
        let again = |(index, name): &(usize, &String)| self.columns[..*index].contains(name);
        if let Some((_, name)) = self.columns.iter().enumerate().find(again) {
            let expected = "the name of one column, not of two";
            return Err(Error::Unreadable { text: name.clone(), expected });
        }
        let mut text = String::new();
        for row in &self.rows {
            for (index, (name, value)) in self.columns.iter().zip(row).enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                text.push_str(&json::string(name));
                text.push(':');
                text.push_str(&json_value(value));
            }
            text.push_str(if row.is_empty() { "{}\n" } else { "}\n" });
        }
        Ok(text)
    }
}

/// Aligned columns, words to the left and numbers, to five significant digits, to the right.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Value::shown).collect()).collect();
        let width = |column: usize| {
            let fields = shown.iter().map(|row| row[column].chars().count());
            fields.chain([self.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let is_text = |row: &Vec<Value>, column: usize| matches!(row[column], Value::Text(_));
        let columns: Vec<(usize, bool)> = (0..self.columns.len())
            .map(|column| (width(column), self.rows.iter().any(|row| is_text(row, column))))
            .collect();
        for row in std::iter::once(&self.columns).chain(&shown) {
            let mut line = String::new();
            for (field, (width, text)) in row.iter().zip(&columns) {
                if *text {
                    write!(line, "{field:<width$}  ")?;
                } else {
                    write!(line, "{field:>width$}  ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Value {
    /// As text for people: numbers to five significant digits.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Number(0.0) => "0".to_owned(),
            Self::Number(number) if (1e-4..1e6).contains(&number.abs()) => {
                let digits = 4 - number.abs().log10().floor() as i32;
                format!("{number:.*}", usize::try_from(digits).unwrap_or(0))
            }
            Self::Number(number) => format!("{number:.4e}"),
            Self::Text(text) => text.clone(),
            other => csv_field(other),
        }
    }
}

fn csv_line(fields: Vec<String>) -> String {
    let line = fields.join(",");
    if line.is_empty() { "\"\"\n".to_owned() } else { line + "\n" }
}

fn csv_field(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Integer(count) => count.to_string(),
        Value::Number(number) => format!("{number:?}"),
        Value::Missing => String::new(),
    }
}

/// A field in quotes if it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn json_value(value: &Value) -> String {
    match value {
        Value::Text(text) => json::string(text),
        Value::Missing => "null".to_owned(),
        number => csv_field(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back_to_the_same_bits(number in any::<f64>()) {
            let mut table = Table::new(["x"]);
            table.push([Value::Number(number)]).unwrap();
            let csv = table.csv();
            let field = csv.lines().nth(1).unwrap();
            if number.is_finite() {
                prop_assert_eq!(field.parse::<f64>().unwrap().to_bits(), number.to_bits());
            } else {
                prop_assert_eq!(field, "\"\"");
            }
        }
    }

    /// Readers skip empty lines (Python's `csv`, pandas, R).
    #[test]
    fn no_line_is_empty() {
        let mut table = Table::new([""]);
        for value in [f64::INFINITY.into(), Value::Missing, "".into(), 1u64.into()] {
            table.push([value]).unwrap();
        }
        assert_eq!(table.csv(), "\"\"\n\"\"\n\"\"\n\"\"\n1\n");
        let mut table = Table::new(["a", "b"]);
        table.push(["".into(), Value::Missing]).unwrap();
        assert_eq!(table.csv(), "a,b\n,\n");
    }

    #[test]
    fn json_does_not_hold_two_columns_of_one_name() {
        let error = Table::new(["gap", "width", "gap"]).json_lines().unwrap_err().to_string();
        assert_eq!(error, "\"gap\" cannot be read: expected the name of one column, not of two");
    }

    #[test]
    fn words_that_could_be_mistaken_are_escaped() {
        let mut table = Table::new(["a,b", "c\"d"]);
        table.push(["x\ny".into(), "back\\slash".into()]).unwrap();
        assert_eq!(table.csv(), "\"a,b\",\"c\"\"d\"\n\"x\ny\",back\\slash\n");
        assert!(table.to_string().lines().next().is_some_and(|line| line.contains("a,b  c\"d")));
        assert_eq!(
            table.json_lines().unwrap(),
            "{\"a,b\":\"x\\u000ay\",\"c\\\"d\":\"back\\\\slash\"}\n"
        );
    }

    #[test]
    fn text_shows_five_digits() {
        let mut table = Table::new(["number"]);
        for number in [0.0, -1.0 / 3.0, 123_456.7, 1e-9, 2.0] {
            table.push([number.into()]).unwrap();
        }
        let lines: Vec<_> = table.to_string().lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines, ["number", "0", "-0.33333", "123457", "1.0000e-9", "2.0000"]);
    }

    #[test]
    fn rows_have_a_value_for_each_column() {
        let mut table = Table::new(["a", "b"]);
        table.push([1u64.into()]).unwrap();
        let error = table.push([1u64.into(), 2u64.into(), 3u64.into()]).unwrap_err().to_string();
        assert_eq!(error, "a row of the table is 1 x 3, expected 1 x 2");
        assert_eq!(table.csv(), "a,b\n1,\n");
    }
}
