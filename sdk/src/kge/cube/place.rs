//! Memory on a device, and lists on their way to it.

use crate::kge::adam::Table;
use crate::{Error, Result};
use burn::backend::DispatchDevice;
use burn::tensor::{Bytes, DType, Device, Shape};
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Where parts of one upload begin: at multiples of this many numbers, as every device allows.
const ALIGNED: usize = 64;

/// A device and its queue.
#[derive(Clone)]
pub(super) struct Place {
    client: Client,
    device: CubeDevice,
}

impl Place {
    /// The place of a device that kernels in CubeCL run on.
    pub fn new(device: &Device) -> Option<Self> {
        match device.as_dispatch() {
            DispatchDevice::Cube(device) => Some(Self { client: device.client(), device: device.clone() }),
            _ => None,
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    fn tensor(&self, handle: burn_cubecl::cubecl::server::Handle, numbers: usize, dtype: DType) -> CubeTensor {
        CubeTensor::new_contiguous(
            self.client.clone(),
            self.device.clone(),
            Shape::new([numbers.max(1)]),
            handle,
            dtype,
        )
    }

    /// Memory for so many 32-bit floats, at least one.
    pub fn empty(&self, numbers: usize) -> CubeTensor {
        let shape = Shape::new([numbers.max(1)]);
        empty_device_contiguous_dtype(self.client.clone(), self.device.clone(), shape, DType::F32)
    }

    /// A copy of these values.
    pub fn upload(&self, values: &[f32]) -> CubeTensor {
        let values = if values.is_empty() { &[0.0] } else { values };
        let handle = self.client.create(Bytes::from_elems(values.to_vec()));
        self.tensor(handle, values.len(), DType::F32)
    }

    /// The values as they are when all work so far is done.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read(&self, tensor: &CubeTensor, numbers: usize) -> Result<Vec<f32>> {
        let bytes = self.client.read_one(tensor.handle.clone());
        let bytes = bytes.map_err(|e| Error::program(format!("the device failed: {e:?}")))?;
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes[..]);
        Ok(all.into_iter().take(numbers).collect())
    }

    /// Copies all lists at once.
    pub fn send(&self, lists: Lists) -> Vec<CubeTensor> {
        let Lists { numbers, parts } = lists;
        let all = numbers.len();
        let handle = self.client.create(Bytes::from_elems(numbers));
        let bytes = |numbers: usize| (numbers * size_of::<u32>()) as u64;
        let part = |(begin, length): (usize, usize)| {
            let end = all - begin - length;
            self.tensor(handle.clone().offset_start(bytes(begin)).offset_end(bytes(end)), length, DType::U32)
        };
        parts.into_iter().map(part).collect()
    }
}

/// Lists that go to a device in one copy.
#[derive(Default)]
pub(super) struct Lists {
    numbers: Vec<u32>,
    parts: Vec<(usize, usize)>,
}

impl Lists {
    /// None, with room for so many numbers.
    pub fn with_capacity(numbers: usize) -> Self {
        Self { numbers: Vec::with_capacity(numbers), parts: Vec::new() }
    }

    /// How many numbers there are in all, with what lies between the lists.
    pub fn numbers(&self) -> usize {
        self.numbers.len()
    }

    /// One more list; an empty one gets a number that nothing reads.
    pub fn add(&mut self, list: impl IntoIterator<Item = u32>) {
        let begin = self.numbers.len();
        self.numbers.extend(list);
        if self.numbers.len() == begin {
            self.numbers.push(0);
        }
        self.parts.push((begin, self.numbers.len() - begin));
        self.numbers.resize(self.numbers.len().next_multiple_of(ALIGNED), 0);
    }

    /// One more list, of floats.
    pub fn add_real(&mut self, list: impl IntoIterator<Item = f32>) {
        self.add(list.into_iter().map(f32::to_bits));
    }
}

/// A table of parameters with the moments of Adam on a device. When its rows were last used stays with the host.
pub(super) struct DeviceTable {
    pub width: usize,
    pub values: CubeTensor,
    pub first: CubeTensor,
    pub second: CubeTensor,
    pub last: Vec<u32>,
    numbers: usize,
}

impl DeviceTable {
    /// A copy of a table; without moments where it has none.
    pub fn new(place: &Place, table: &Table) -> Self {
        Self {
            width: table.width,
            values: place.upload(&table.values),
            first: place.upload(&table.first),
            second: place.upload(&table.second),
            last: table.last.clone(),
            numbers: table.values.len(),
        }
    }

    /// The table as it is when all work so far is done.
    pub fn read(&self, place: &Place) -> Result<Table> {
        let [values, first, second] =
            [&self.values, &self.first, &self.second].map(|tensor| place.read(tensor, self.numbers));
        Ok(Table { width: self.width, values: values?, first: first?, second: second?, last: self.last.clone() })
    }
}
