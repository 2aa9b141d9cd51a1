//! Against SciPy 1.16 and statsmodels 0.14.

use super::*;

/// Numbers in [0, 1) that Python makes as well:
///
/// ```python
/// def lcg(n, seed):
///     x, out = seed, []
///     for _ in range(n):
///         x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
///         out.append((x >> 33) / (1 << 31))
///     return np.array(out)
/// ```
fn lcg(n: usize, seed: u64) -> Vec<f64> {
    let mut x = seed;
    let step = |_| {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (x >> 33) as f64 / (1u64 << 31) as f64
    };
    (0..n).map(step).collect()
}

/// ```python
/// a = np.floor(lcg(300, 1) * 5) / 5
/// b = np.clip(a + np.floor((lcg(300, 2) - 0.42) * 3) / 5, 0, 1)
/// c = np.floor(lcg(300, 3) * 5) / 5
/// ```
pub fn columns() -> Vec<Vec<f64>> {
    let a: Vec<f64> = lcg(300, 1).iter().map(|u| (u * 5.0).floor() / 5.0).collect();
    let b = a.iter().zip(lcg(300, 2)).map(|(a, u)| (a + ((u - 0.42) * 3.0).floor() / 5.0).clamp(0.0, 1.0)).collect();
    let c = lcg(300, 3).iter().map(|u| (u * 5.0).floor() / 5.0).collect();
    vec![a, b, c]
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}

/// Of patients with one example each.
fn by_patient(columns: &[Vec<f64>]) -> ByPatient {
    ByPatient::of_columns(columns, &(0..columns[0].len()).collect::<Vec<_>>())
}

/// The examples of three patients: their sums are 1, 5 and 7 less 3, 1 and 3, over 1, 2 and 3 examples.
///
/// ```python
/// d = [-2, 4, 4]; w = [sum(s * x for s, x in zip(signs, d)) for signs in itertools.product([-1, 1], repeat=3)]
/// np.mean(np.abs(w) >= 6)       # 0.5: ±6, ±6, ±2, ±10
/// ```
#[test]
fn a_patient_with_several_examples_is_drawn_and_signed_as_one() {
    let patients = [0, 1, 1, 2, 2, 2];
    let columns = [vec![1.0, 2.0, 3.0, 4.0, f64::NAN, 3.0], vec![3.0, 1.0, 0.0, 1.0, 1.0, 1.0]];
    let values = ByPatient::of_columns(&columns, &patients);
    assert_eq!(values.means(), [13.0 / 5.0, 7.0 / 6.0]);
    // Twenty-seven equally likely resamples: np.quantile of their means of the second column.
    let (low, high) = values.bootstrap(4_000, 1).interval(1);
    assert_eq!((low, high), (0.5, 3.0));
    let p = values.signs(4_000, 1).p_value(0, 1, values.sum(0) - values.sum(1));
    near(p, 0.5, 4.0 * (0.25f64 / 4_000.0).sqrt());
}

#[test]
fn intervals_are_those_of_scipy() {
    // scipy.stats.bootstrap((x,), np.mean, n_resamples=200_000, method="percentile").confidence_interval. The end of an
    // interval from 10,000 draws has a standard error of about 0.025 standard errors of the mean: four of them, and the
    // grid of 0.2 / 300 on which means lie.
    let values = by_patient(&columns());
    let means = values.means();
    [0.38933333333333336, 0.3606666666666667, 0.41133333333333333]
        .iter()
        .zip(&means)
        .for_each(|(e, &m)| near(m, *e, 1e-12));
    let draws = values.bootstrap(10_000, 7);
    let tolerance = |se: f64| 0.1 * se + 0.2 / 300.0;
    for (column, low, high, se) in
        [(0, 0.358, 0.42066666666666663, 0.01588), (1, 0.32733333333333, 0.39466666666667, 0.01729)]
    {
        let (found_low, found_high) = draws.interval(column);
        near(found_low, low, tolerance(se));
        near(found_high, high, tolerance(se));
    }
    for (column, low, high, se) in [(1, -0.04866666666667, -0.00866666666667, 0.01014), (2, -0.022, 0.066, 0.0225)] {
        let (found_low, found_high) = draws.interval_of_difference(column, 0, &[]);
        near(found_low, low, tolerance(se));
        near(found_high, high, tolerance(se));
    }
    assert_eq!(values.bootstrap(50, 7), values.bootstrap(50, 7));
    assert_ne!(values.bootstrap(50, 7), values.bootstrap(50, 8));
}

#[test]
fn p_values_are_those_of_scipy() {
    // scipy.stats.permutation_test((x,), np.sum, permutation_type="samples", n_resamples=200_000).pvalue; the standard
    // error of p from 10,000 draws is √(p (1 − p) / 10,000). The paired t-test says 0.00504 and 0.330.
    let values = by_patient(&columns());
    let signs = values.signs(10_000, 7);
    for (column, observed, p) in [(1, -8.6, 0.006160), (2, 6.6, 0.34261)] {
        let sum = values.sum(column) - values.sum(0);
        near(sum, observed, 1e-9);
        near(signs.p_value(column, 0, sum), p, 4.0 * (p * (1.0 - p) / 10_000.0f64).sqrt());
    }
    assert_eq!(signs.p_value(0, 0, 0.0), 1.0);
}

#[test]
fn chance_alone_is_significant_as_often_as_it_should_be() {
    // Two columns of the same distribution, 400 times: p < 0.05 in 20 ± 4.4 of them.
    let found = (0..400).filter(|&n| {
        let values = by_patient(&[lcg(60, 3 * n + 1), lcg(60, 3 * n + 2)]);
        values.signs(400, n).p_value(0, 1, values.sum(0) - values.sum(1)) < 0.05
    });
    let found = found.count();
    assert!((5..=37).contains(&found), "{found}");
}

#[test]
fn what_is_undefined_does_not_count() {
    // d = b; d[::7] = nan; np.nanmean(d)
    let mut d = columns().swap_remove(1);
    d.iter_mut().step_by(7).for_each(|v| *v = f64::NAN);
    let values = by_patient(&[d, columns().swap_remove(0)]);
    near(values.means()[0], 0.3610894941634241, 1e-12);
    let (low, high) = values.bootstrap(4_000, 1).interval(0);
    assert!(low < 0.361 && 0.361 < high && high - low < 0.09, "{low} {high}");
}

#[test]
fn holm_is_that_of_statsmodels() {
    // statsmodels.stats.multitest.multipletests(p, method="holm")[1]
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005, 0.2, 0.03]);
    corrected.iter().zip([0.05, 0.12, 0.12, 0.03, 0.2, 0.12]).for_each(|(&c, e)| near(c, e, 1e-12));
    assert!(holm(&[]).is_empty());
    assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
}

#[test]
fn spread_has_n_minus_1_below() {
    // np.std([0.61, 0.63, 0.58], ddof=1)
    let (mean, sd) = mean_and_sd(&[0.61, 0.63, 0.58]);
    near(mean, 0.6066666666666666, 1e-12);
    near(sd.unwrap(), 0.025166114784235857, 1e-12);
    assert_eq!(mean_and_sd(&[0.5]), (0.5, None));
}

/// ```python
/// r = scipy.stats.ttest_ind([0.61, 0.63, 0.58], [0.5, 0.56, 0.53, 0.55], equal_var=False)
/// low, high = r.confidence_interval(); (high - low) / 2     # 0.0519055765 with 4.588 degrees of freedom
/// ```
///
/// From 40,000 draws the standard error of an end is 1 % of it. Beside runs that are all the same it is the interval of a mean:
/// `scipy.stats.t.ppf(0.975, 2) * np.std([0.61, 0.63, 0.58], ddof=1) / np.sqrt(3)`.
#[test]
fn runs_differ_by_the_interval_of_welch() {
    let runs = [0.61, 0.63, 0.58];
    for (other, half) in [(&[0.5, 0.56, 0.53, 0.55][..], 0.051_905_576_5), (&[0.5; 3], 0.062_516_094_8)] {
        let (low, high) = middle(shifts(&runs, other, 40_000, 7));
        near(low, -half, 0.04 * half);
        near(high, half, 0.04 * half);
    }
    assert!(shifts(&[0.5; 3], &[0.6; 2], 100, 7).is_empty());
}

/// How often the interval of the difference of two rows holds the truth, 0, where seeds alone make it: of rows of the same spread,
/// of one of five times the other's, and of a row and a rule, which is the same in every run. Simulated 200,000 times with NumPy and
/// `scipy.stats.t.ppf(0.975, df)`; here 1,000 times, four standard errors.
#[test]
fn intervals_from_few_runs_hold_the_truth_as_often_as_they_say() {
    const SIMULATIONS: usize = 1_000;
    for (runs, expected) in [(2, [0.977, 0.951, 0.950]), (3, [0.965, 0.941, 0.950]), (5, [0.956, 0.946, 0.950])] {
        // Sums of twelve numbers in [0, 1) are close to normal.
        let numbers = lcg(SIMULATIONS * 2 * runs * 12, 1);
        let normal: Vec<f64> = numbers.chunks(12).map(|twelve| twelve.iter().sum::<f64>() - 6.0).collect();
        for (spread, expected) in [1.0, 5.0, 0.0].into_iter().zip(expected) {
            let holds = |(simulation, rows): (usize, &[f64])| {
                let (a, b) = rows.split_at(runs);
                let b: Vec<f64> = b.iter().map(|value| spread * value).collect();
                let difference = mean_and_sd(a).0 - mean_and_sd(&b).0;
                let (low, high) = middle(shifts(a, &b, 1_000, simulation as u64));
                difference + low <= 0.0 && 0.0 <= difference + high
            };
            let held = normal.chunks(2 * runs).enumerate().filter(|&rows| holds(rows)).count();
            let error = f64::sqrt(expected * (1.0 - expected) / SIMULATIONS as f64);
            near(held as f64 / SIMULATIONS as f64, expected, 4.0 * error);
        }
    }
}

#[test]
fn quantiles_are_those_of_numpy() {
    // np.quantile([1, 2, 4, 8, 16], [0.025, 0.5, 0.975])
    let values = [1.0, 2.0, 4.0, 8.0, 16.0];
    near(quantile(&values, 0.025), 1.1, 1e-12);
    near(quantile(&values, 0.5), 4.0, 1e-12);
    near(quantile(&values, 0.975), 15.2, 1e-12);
    assert!(quantile(&[], 0.5).is_nan());
}
