//! How well a retriever ranked what it found, from the relevance of each document in its order.
//!
//! Only what was found is known: nothing here says what the retriever missed.

use crate::error::Error;

/// Precision at k, where k documents were found: the share of them that are relevant. `None` of no documents.
///
/// Source: Manning, Raghavan and Schütze 2008, *Introduction to Information Retrieval*, section 8.4; trec_eval's `P_k`.
#[expect(clippy::cast_precision_loss, reason = "numbers of documents are far below 2^53")]
pub fn precision(relevant: &[bool]) -> Option<f64> {
    let hits = relevant.iter().filter(|relevant| **relevant).count();
    (!relevant.is_empty()).then(|| hits as f64 / relevant.len() as f64)
}

/// 1 / the rank of the first relevant document, 0 where none is: over several retrievals, the mean is the MRR. `None` of no documents.
///
/// Source: Voorhees 1999, the TREC-8 question answering track report; trec_eval's `recip_rank`.
#[expect(clippy::cast_precision_loss, reason = "numbers of documents are far below 2^53")]
pub fn reciprocal_rank(relevant: &[bool]) -> Option<f64> {
    let first = relevant.iter().position(|relevant| *relevant);
    (!relevant.is_empty()).then(|| first.map_or(0.0, |place| 1.0 / (place + 1) as f64))
}

/// The discounted cumulative gain: each gain divided by log2(rank + 1), summed.
///
/// Source: Järvelin and Kekäläinen 2002, equation 2 with base 2, and as trec_eval and scikit-learn discount the second document, too.
pub fn dcg(gains: impl IntoIterator<Item = f64>) -> f64 {
    let mut rank = 1.0_f64;
    let discounted = gains.into_iter().map(|gain| {
        rank += 1.0;
        gain / rank.log2()
    });
    discounted.sum()
}

/// The discounted cumulative gain of the first `k` documents as a share of what the first `k` of the best order of all of them would have; 0 where none
/// has any. `None` of no documents.
///
/// Source: as of [`dcg`]; scikit-learn's `ndcg_score`, and trec_eval's `ndcg_cut` where all that was judged was found.
///
/// # Errors
/// When a gain is negative or not finite.
pub fn ndcg(gains: &[f64], k: usize) -> Result<Option<f64>, Error> {
    if let Some(index) = gains.iter().position(|gain| !gain.is_finite()) {
        return Err(Error::NotFinite { index });
    }
    if let Some(gain) = gains.iter().find(|gain| **gain < 0.0) {
        return Err(Error::Domain { name: "gain", value: *gain, expected: ">= 0" });
    }
    let mut best = gains.to_vec();
    best.sort_by(|a, b| b.total_cmp(a));
    let (found, best) = (dcg(gains.iter().copied().take(k)), dcg(best.into_iter().take(k)));
    Ok((!gains.is_empty()).then(|| if best > 0.0 { found / best } else { 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_trec_eval_and_scikit_learn() {
        // trec_eval by pytrec_eval-terrier 0.5.11 (`P_k` of all k documents, `recip_rank`, `ndcg`), scikit-learn 1.9.1 (`ndcg_score`, the same).
        let cases: [(&[f64], [f64; 3]); 7] = [
            (&[2.0, 1.0, 0.0], [0.666_666_666_666_666_6, 1.0, 1.0]),
            (&[0.0, 1.0, 2.0], [0.666_666_666_666_666_6, 0.5, 0.619_906_233_284_065_7]),
            (&[0.0, 0.0, 0.0, 2.0], [0.25, 0.25, 0.430_676_558_073_393]),
            (&[1.0, 0.0, 2.0, 0.0, 1.0], [0.6, 1.0, 0.762_346_330_035_624]),
            (&[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            (&[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
            (&[0.0, 2.0, 1.0, 1.0, 0.0, 2.0, 0.0, 1.0], [0.625, 0.5, 0.703_241_285_227_332_5]),
        ];
        for (gains, expected) in cases {
            let relevant: Vec<_> = gains.iter().map(|gain| *gain > 0.0).collect();
            let found = [precision(&relevant), reciprocal_rank(&relevant), ndcg(gains, gains.len()).unwrap()];
            let differences = found.iter().zip(expected).map(|(found, expected)| (found.unwrap() - expected).abs());
            assert!(differences.fold(0.0, f64::max) < 1e-12, "{gains:?}: {found:?}");
        }
        // The first example of scikit-learn's documentation of `ndcg_score`.
        assert!((ndcg(&[5.0, 1.0, 0.0, 0.0, 10.0], 5).unwrap().unwrap() - 0.695_694_044_381_307_6).abs() < 1e-12);
        // scikit-learn 1.9.1, `ndcg_score(..., k=k)`.
        let cut: [(&[f64], usize, f64); 4] = [
            (&[0.0, 1.0, 2.0], 2, 0.239_812_466_568_131_4),
            (&[1.0, 0.0, 2.0, 0.0, 1.0], 3, 0.638_787_886_479_598),
            (&[0.0, 0.0, 0.0, 2.0], 3, 0.0),
            (&[2.0, 1.0], 5, 1.0),
        ];
        for (gains, k, expected) in cut {
            assert!((ndcg(gains, k).unwrap().unwrap() - expected).abs() < 1e-12, "{gains:?} at {k}");
        }
    }

    #[test]
    fn of_no_documents_nothing_is_said_and_no_gain_is_negative() {
        assert_eq!((precision(&[]), reciprocal_rank(&[]), ndcg(&[], 1)), (None, None, Ok(None)));
        assert!(matches!(ndcg(&[1.0, -1.0], 2), Err(Error::Domain { .. })));
        assert!(matches!(ndcg(&[1.0, f64::NAN], 2), Err(Error::NotFinite { index: 1 })));
    }
}
