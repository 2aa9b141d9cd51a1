//! Burn modules behind trait objects.
//!
//! [`Module`](burn::module::Module) has generic `visit` and `map`, so it is not object-safe. As burn does for its
//! reparameterizations, a visitor crosses the boundary as a trait object that carries each parameter as its rank and
//! an [`Any`], and is made static again on the other side. With this a plugin's module is an ordinary sub-module:
//! the optimizer, freezing, records and parameter counts see its parameters.

use burn::module::{Flag, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use std::any::Any;

/// A borrowed parameter with its rank.
pub(crate) struct ErasedParamRef<'a> {
    rank: usize,
    value: &'a dyn Any,
}

/// An owned parameter with its rank.
pub(crate) struct ErasedParam {
    rank: usize,
    value: Box<dyn Any + Send>,
}

impl ErasedParam {
    fn new<T: Any + Send>(rank: usize, value: T) -> Self {
        Self { rank, value: Box::new(value) }
    }

    fn downcast<T: Any + Send>(self) -> T {
        match self.value.downcast() {
            Ok(value) => *value,
            Err(_) => unreachable!("a parameter of rank {} came back as another type", self.rank),
        }
    }
}

/// [`ModuleVisitor`] as an object.
pub(crate) trait ErasedVisitor {
    /// A float parameter.
    fn visit_float(&mut self, param: ErasedParamRef<'_>);
    /// An integer parameter.
    fn visit_int(&mut self, param: ErasedParamRef<'_>);
    /// A boolean parameter.
    fn visit_bool(&mut self, param: ErasedParamRef<'_>);
    /// A control flag.
    fn visit_flag(&mut self, flag: &Param<Flag>);
    /// Entering a sub-module.
    fn enter_module(&mut self, name: &str, container_type: &str);
    /// Leaving a sub-module.
    fn exit_module(&mut self, name: &str, container_type: &str);
}

/// [`ModuleMapper`] as an object.
pub(crate) trait ErasedMapper {
    /// A float parameter.
    fn map_float(&mut self, param: ErasedParam) -> ErasedParam;
    /// An integer parameter.
    fn map_int(&mut self, param: ErasedParam) -> ErasedParam;
    /// A boolean parameter.
    fn map_bool(&mut self, param: ErasedParam) -> ErasedParam;
    /// A control flag.
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
    /// Entering a sub-module.
    fn enter_module(&mut self, name: &str, container_type: &str);
    /// Leaving a sub-module.
    fn exit_module(&mut self, name: &str, container_type: &str);
}

/// Erases the parameters that a plugin's module emits.
pub(crate) struct VisitorToErased<'a>(pub &'a mut dyn ErasedVisitor);

impl ModuleVisitor for VisitorToErased<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.visit_float(ErasedParamRef { rank: D, value: param });
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.visit_int(ErasedParamRef { rank: D, value: param });
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.visit_bool(ErasedParamRef { rank: D, value: param });
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.visit_flag(flag);
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}

/// Erases the parameters that a plugin's module maps.
pub(crate) struct MapperToErased<'a>(pub &'a mut dyn ErasedMapper);

impl ModuleMapper for MapperToErased<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0.map_float(ErasedParam::new(D, param)).downcast()
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.0.map_int(ErasedParam::new(D, param)).downcast()
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.0.map_bool(ErasedParam::new(D, param)).downcast()
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.map_flag(flag)
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}

/// Runs `$body` with the constant `$d` equal to the run-time rank.
macro_rules! with_rank {
    ($rank:expr, $d:ident => $body:expr) => {
        with_rank!(@ $rank, $d => $body; 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $d:ident => $body:expr; $($n:literal)*) => {
        match $rank {
            $($n => { const $d: usize = $n; $body })*
            other => unreachable!("parameters have rank 1 to 8, not {other}"),
        }
    };
}

struct ToStatic<'a, V>(&'a mut V);

fn expect_ref<'a, T: Any>(param: &ErasedParamRef<'a>) -> &'a T {
    match param.value.downcast_ref() {
        Some(value) => value,
        None => unreachable!("a parameter of rank {} is of another type", param.rank),
    }
}

impl<V: ModuleVisitor> ErasedVisitor for ToStatic<'_, V> {
    fn visit_float(&mut self, param: ErasedParamRef<'_>) {
        with_rank!(param.rank, D => self.0.visit_float(expect_ref::<Param<Tensor<D>>>(&param)));
    }

    fn visit_int(&mut self, param: ErasedParamRef<'_>) {
        with_rank!(param.rank, D => self.0.visit_int(expect_ref::<Param<Tensor<D, Int>>>(&param)));
    }

    fn visit_bool(&mut self, param: ErasedParamRef<'_>) {
        with_rank!(param.rank, D => self.0.visit_bool(expect_ref::<Param<Tensor<D, Bool>>>(&param)));
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.visit_flag(flag);
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}

impl<M: ModuleMapper> ErasedMapper for ToStatic<'_, M> {
    fn map_float(&mut self, param: ErasedParam) -> ErasedParam {
        with_rank!(param.rank, D => ErasedParam::new(D, self.0.map_float(param.downcast::<Param<Tensor<D>>>())))
    }

    fn map_int(&mut self, param: ErasedParam) -> ErasedParam {
        with_rank!(param.rank, D => ErasedParam::new(D, self.0.map_int(param.downcast::<Param<Tensor<D, Int>>>())))
    }

    fn map_bool(&mut self, param: ErasedParam) -> ErasedParam {
        with_rank!(param.rank, D => ErasedParam::new(D, self.0.map_bool(param.downcast::<Param<Tensor<D, Bool>>>())))
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.map_flag(flag)
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}

/// Calls `visit` with `visitor` as an object.
pub(crate) fn visit_with<V: ModuleVisitor>(visitor: &mut V, visit: impl FnOnce(&mut dyn ErasedVisitor)) {
    visit(&mut ToStatic(visitor));
}

/// Calls `map` with `mapper` as an object.
pub(crate) fn map_with<M: ModuleMapper, R>(mapper: &mut M, map: impl FnOnce(&mut dyn ErasedMapper) -> R) -> R {
    map(&mut ToStatic(mapper))
}

/// Declares the burn module that holds any implementation of a slot's trait.
macro_rules! slot_module {
    ($(#[$meta:meta])* $module:ident: $erased:ident for $slot:ident) => {
        /// What the slot's module needs of an implementation; every burn module that implements the slot has it.
        pub(crate) trait $erased: $slot + std::fmt::Debug + Send {
            /// [`Module::visit`](burn::module::Module::visit).
            fn visit_erased(&self, visitor: &mut dyn $crate::boundary::ErasedVisitor);
            /// [`Module::map`](burn::module::Module::map).
            fn map_erased(self: Box<Self>, mapper: &mut dyn $crate::boundary::ErasedMapper) -> Box<dyn $erased>;
            /// [`Module::collect_devices`](burn::module::Module::collect_devices).
            fn collect_devices_erased(&self, devices: burn::module::Devices) -> burn::module::Devices;
            /// [`Module::fork`](burn::module::Module::fork).
            fn fork_erased(self: Box<Self>, device: &burn::tensor::Device) -> Box<dyn $erased>;
            /// [`Module::to_device`](burn::module::Module::to_device).
            fn to_device_erased(self: Box<Self>, device: &burn::tensor::Device) -> Box<dyn $erased>;
            /// [`Module::train`](burn::module::Module::train).
            fn train_erased(self: Box<Self>) -> Box<dyn $erased>;
            /// [`Module::valid`](burn::module::Module::valid).
            fn valid_erased(&self) -> Box<dyn $erased>;
            /// [`Module::materialize`](burn::module::Module::materialize).
            fn materialize_erased(self: Box<Self>) -> Box<dyn $erased>;
            /// [`Clone::clone`].
            fn clone_erased(&self) -> Box<dyn $erased>;
        }

        impl<T: $slot + burn::module::Module + 'static> $erased for T {
            fn visit_erased(&self, visitor: &mut dyn $crate::boundary::ErasedVisitor) {
                self.visit(&mut $crate::boundary::VisitorToErased(visitor));
            }

            fn map_erased(self: Box<Self>, mapper: &mut dyn $crate::boundary::ErasedMapper) -> Box<dyn $erased> {
                Box::new(self.map(&mut $crate::boundary::MapperToErased(mapper)))
            }

            fn collect_devices_erased(&self, devices: burn::module::Devices) -> burn::module::Devices {
                self.collect_devices(devices)
            }

            fn fork_erased(self: Box<Self>, device: &burn::tensor::Device) -> Box<dyn $erased> {
                Box::new((*self).fork(device))
            }

            fn to_device_erased(self: Box<Self>, device: &burn::tensor::Device) -> Box<dyn $erased> {
                Box::new((*self).to_device(device))
            }

            fn train_erased(self: Box<Self>) -> Box<dyn $erased> {
                Box::new((*self).train())
            }

            fn valid_erased(&self) -> Box<dyn $erased> {
                Box::new(self.valid())
            }

            fn materialize_erased(self: Box<Self>) -> Box<dyn $erased> {
                Box::new((*self).materialize())
            }

            fn clone_erased(&self) -> Box<dyn $erased> {
                Box::new(self.clone())
            }
        }

        $(#[$meta])*
        #[derive(Debug)]
        pub struct $module {
            inner: Box<dyn $erased>,
            origin: std::sync::Arc<str>,
        }

        impl $module {
            /// Wraps an implementation; `origin` names it in errors, for instance `gat (plugin libgat.so)`.
            pub fn new(inner: impl $slot + burn::module::Module + 'static, origin: impl Into<std::sync::Arc<str>>) -> Self {
                Self { inner: Box::new(inner), origin: origin.into() }
            }

            /// Calls the implementation; a panic in it carries the plugin's name.
            fn guard<R>(&self, call: impl FnOnce(&dyn $erased) -> R) -> R {
                $crate::boundary::guard::run(&self.origin, || call(&*self.inner))
            }
        }

        impl Clone for $module {
            fn clone(&self) -> Self {
                Self { inner: self.inner.clone_erased(), origin: self.origin.clone() }
            }
        }

        impl burn::module::Module for $module {
            fn collect_devices(&self, devices: burn::module::Devices) -> burn::module::Devices {
                self.inner.collect_devices_erased(devices)
            }

            fn fork(self, device: &burn::tensor::Device) -> Self {
                Self { inner: self.inner.fork_erased(device), origin: self.origin }
            }

            fn to_device(self, device: &burn::tensor::Device) -> Self {
                Self { inner: self.inner.to_device_erased(device), origin: self.origin }
            }

            fn train(self) -> Self {
                Self { inner: self.inner.train_erased(), origin: self.origin }
            }

            fn valid(&self) -> Self {
                Self { inner: self.inner.valid_erased(), origin: self.origin.clone() }
            }

            fn materialize(self) -> Self {
                Self { inner: self.inner.materialize_erased(), origin: self.origin }
            }

            fn visit<V: burn::module::ModuleVisitor>(&self, visitor: &mut V) {
                $crate::boundary::visit_with(visitor, |visitor| self.inner.visit_erased(visitor));
            }

            fn map<M: burn::module::ModuleMapper>(self, mapper: &mut M) -> Self {
                let Self { inner, origin } = self;
                Self { inner: $crate::boundary::map_with(mapper, |mapper| inner.map_erased(mapper)), origin }
            }
        }

        impl burn::module::ModuleDisplayDefault for $module {
            fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
                content.add_formatted(&format!("{} ({})", stringify!($slot), self.origin)).optional()
            }
        }

        impl burn::module::ModuleDisplay for $module {}
    };
}
pub(crate) use slot_module;
