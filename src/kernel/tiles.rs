//! How large the tiles of products are: what registers and the first-level cache hold.

/// Columns of a factor that are multiplied together.
///
/// Narrow tiles waste less of a small triangle, wide ones need fewer loads.
pub const fn tile_columns(columns: usize) -> usize {
    match columns {
        0..=FUSED => columns,
        7..=NARROW => 4,
        _ => 6,
    }
}

/// The largest batch that the all-in-registers kernel takes.
pub const FUSED: usize = 6;
/// Groups of the longest strip, on levels with 32 registers of a whole line.
pub const STRIP: usize = 4;
/// The largest batch with narrow tiles.
pub const NARROW: usize = 23;
