//! Any text as a share of a sweep, in the tables of a report, and as the names of tensors.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::experiment::sweep::Share;
use orthogap::report::{Table, Value};
use orthogap::train::export::{Tensor, write_npy, write_safetensors};
use orthogap_fuzz::Floats;
use safetensors::SafeTensors;

#[derive(Debug, Arbitrary)]
struct Case {
    share: String,
    indices: (usize, usize),
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    tensors: Vec<(String, Floats)>,
}

#[derive(Debug, Arbitrary)]
enum Cell {
    Text(String),
    Integer(u64),
    Number(f64),
    Missing,
}

impl From<&Cell> for Value {
    fn from(cell: &Cell) -> Self {
        match cell {
            Cell::Text(text) => Self::Text(text.clone()),
            Cell::Integer(number) => Self::Integer(*number),
            Cell::Number(number) => Self::Number(*number),
            Cell::Missing => Self::Missing,
        }
    }
}

fuzz_target!(|case: Case| {
    let _ = case.share.parse::<Share>();
    let (index, of) = case.indices;
    assert_eq!(format!("{index}/{of}").parse::<Share>(), Share::new(index, of));

    let mut table = Table::new(case.columns.clone());
    for row in &case.rows {
        let length = row.len();
        assert_eq!(table.push(row.iter().map(Value::from)).is_ok(), length <= case.columns.len());
    }
    assert!(table.rows().iter().all(|row| row.len() == case.columns.len()));
    let _ = (table.to_string(), table.csv());
    for line in table.json_lines().unwrap_or_default().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line.as_object().expect("an object").len() <= case.columns.len());
    }

    let tensors: Vec<_> = case
        .tensors
        .iter()
        .map(|(name, Floats(matrix))| (name.clone(), Tensor::from_matrix(matrix)))
        .collect();
    let mut bytes = Vec::new();
    if write_safetensors(&mut bytes, &tensors).is_ok() {
        let read = SafeTensors::deserialize(&bytes).expect("what was written");
        for (name, tensor) in &tensors {
            assert_eq!(read.tensor(name).expect("its tensor").shape(), tensor.shape());
        }
    }
    for (_, tensor) in &tensors {
        write_npy(Vec::new(), tensor).expect("memory");
    }
});
