//! Scores that codes and items give to columns in the copy path of a head: a thread for each list and patient, and for each
//! number of the tables in the backward pass.

use super::{Csr, UNITS, buffers, dims, empty, thread_number, threads};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// The scores, from `own_of`, `own`, `near_of`, `near`, `item_of` and `item`.
pub(super) fn forward(tables: [CubeTensor; 6], lists: &Csr, patients: usize) -> CubeTensor {
    let [own_of, own, near_of, near, item_of, item] = tables;
    let [codes, ages] = dims(&own_of);
    let (rows, on_device) = (codes + lists.len(), buffers::lists(lists, &own_of));
    let output = empty(&own_of, rows, patients);
    scores::launch(
        &output.client,
        threads(rows * patients),
        CubeDim::new_1d(UNITS),
        on_device.offsets.into_buffer_arg(),
        on_device.members.into_buffer_arg(),
        on_device.weights.into_buffer_arg(),
        own_of.into_buffer_arg(),
        own.into_buffer_arg(),
        near_of.into_buffer_arg(),
        near.into_buffer_arg(),
        item_of.into_buffer_arg(),
        item.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        rows,
        codes,
        patients,
        ages,
    );
    output
}

/// Gradients of the tables of codes and items, from that of the scores.
pub(super) fn backward(
    gradient: CubeTensor,
    [codes, ages]: [usize; 2],
    items: usize,
    lists: &Csr,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [_, patients] = dims(&gradient);
    let on_device = buffers::lists(lists, &gradient);
    let (own_of, near_of) = (empty(&gradient, codes, ages), empty(&gradient, codes, ages));
    let item_of = empty(&gradient, items, 1);
    gradients::launch(
        &gradient.client,
        threads(codes * ages + items),
        CubeDim::new_1d(UNITS),
        on_device.offsets.into_buffer_arg(),
        on_device.members.into_buffer_arg(),
        on_device.weights.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        own_of.clone().into_buffer_arg(),
        near_of.clone().into_buffer_arg(),
        item_of.clone().into_buffer_arg(),
        codes,
        items,
        lists.len(),
        patients,
        ages,
    );
    (own_of, near_of, item_of)
}

#[cube(launch)]
fn scores(
    offsets: &[u32],
    members: &[u32],
    weights: &[f32],
    own_of: &[f32],
    own: &[f32],
    near_of: &[f32],
    near: &[f32],
    item_of: &[f32],
    item: &[f32],
    output: &mut [f32],
    rows: usize,
    codes: usize,
    patients: usize,
    ages: usize,
) {
    let number = thread_number();
    if number >= rows * patients {
        terminate!();
    }
    let (row, patient) = (number / patients, number % patients);
    // Codes have two scores: for themselves and for their neighbours.
    let mut list = row;
    if row >= codes {
        list = row - codes;
    }
    let mut sum = 0.0f32;
    for k in offsets[list] as usize..offsets[list + 1] as usize {
        let member = members[k] as usize;
        if member / ages == patient {
            let age = member % ages;
            let score = if row < codes {
                own_of[row * ages + age] + own[age]
            } else if list < codes {
                near_of[list * ages + age] + near[age]
            } else {
                item_of[list - codes] + item[0]
            };
            sum += weights[k] * score;
        }
    }
    output[number] = sum;
}

#[cube(launch)]
fn gradients(
    offsets: &[u32],
    members: &[u32],
    weights: &[f32],
    gradient: &[f32],
    own_of: &mut [f32],
    near_of: &mut [f32],
    item_of: &mut [f32],
    codes: usize,
    items: usize,
    lists: usize,
    patients: usize,
    ages: usize,
) {
    let number = thread_number();
    if number >= codes * ages + items {
        terminate!();
    }
    if number < codes * ages {
        let (code, age) = (number / ages, number % ages);
        let mut of_own = 0.0f32;
        let mut of_near = 0.0f32;
        for k in offsets[code] as usize..offsets[code + 1] as usize {
            let member = members[k] as usize;
            if member % ages == age {
                let patient = member / ages;
                of_own += weights[k] * gradient[code * patients + patient];
                of_near += weights[k] * gradient[(codes + code) * patients + patient];
            }
        }
        own_of[number] = of_own;
        near_of[number] = of_near;
    } else {
        let list = codes + number - codes * ages;
        let mut of_item = 0.0f32;
        if list < lists {
            for k in offsets[list] as usize..offsets[list + 1] as usize {
                of_item += weights[k] * gradient[(codes + list) * patients + members[k] as usize / ages];
            }
        }
        item_of[number - codes * ages] = of_item;
    }
}
