//! Claims of the papers that followed, a file for each subject.

mod attraction;
mod gradients;
mod haar;
mod isometry;
mod laws;
mod mixing;
mod shaped;

use orthogap::Result;

use super::claim::Claim;
use super::finite::Effort;

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = attraction::claims()?;
    claims.extend(isometry::claims(effort)?);
    claims.extend(gradients::claims(effort)?);
    claims.extend(haar::claims(effort)?);
    claims.extend(mixing::claims(effort)?);
    claims.push(shaped::claim(effort)?);
    claims.extend(laws::claims(effort)?);
    Ok(claims)
}
