//! The memory of an experiment, checked before it is allocated.

use crate::command::Result;

/// Refuses arrays that do not fit into the memory of this machine: so many items along each axis,
/// of so many bytes each.
pub fn check(what: &str, axes: &[usize], bytes: usize) -> Result<()> {
    let needed = axes.iter().map(|&axis| axis as f64).product::<f64>() * bytes as f64;
    let limit = limit();
    if needed <= limit {
        return Ok(());
    }
    let gibibytes = |bytes: f64| bytes / f64::from(1 << 30);
    let (needed, limit) = (gibibytes(needed), gibibytes(limit));
    Err(format!("{what} would take {needed:.4e} GiB of memory, of {limit:.1} GiB").into())
}

/// Bytes of memory of this machine, as Linux counts them; a tebibyte elsewhere.
fn limit() -> f64 {
    let total = || {
        let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    };
    total().map_or(2f64.powi(40), |kibibytes| 1024.0 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(check("a matrix", &[64, 64], 8).is_ok());
        let error = check("a matrix", &[1 << 40, 1 << 40], 8).unwrap_err().to_string();
        assert!(error.starts_with("a matrix would take 9.0072e15 GiB of memory, of "), "{error}");
    }
}
