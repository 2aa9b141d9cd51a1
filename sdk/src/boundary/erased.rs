//! Burn modules behind trait objects.
//!
//! [`Module`](burn::module::Module) has generic `visit` and `map`, so it is not object-safe. As burn does for its
//! reparameterizations, a visitor crosses the boundary as a trait object that carries each parameter as its rank and
//! an [`Any`], and is made static again on the other side. With this a plugin's module is an ordinary sub-module:
//! the optimizer, freezing, records and parameter counts see its parameters.

use super::guard;
use burn::module::{
    Content, Devices, Flag, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::tensor::{Bool, Device, Int, Tensor};
use std::any::Any;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// A borrowed parameter with its rank.
struct ErasedParamRef<'a> {
    rank: usize,
    value: &'a dyn Any,
}

/// An owned parameter with its rank.
struct ErasedParam {
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
trait ErasedVisitor {
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
trait ErasedMapper {
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
struct VisitorToErased<'a>(&'a mut dyn ErasedVisitor);

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
struct MapperToErased<'a>(&'a mut dyn ErasedMapper);

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

/// A burn module as an object of a slot's trait, such as `dyn Fusion`. Whatever implements that trait has this, too, by a few
/// lines beside it.
pub trait AsSlot<T: ?Sized> {
    /// What the slot's trait is called.
    const TRAIT: &'static str;
    /// The module as an object of the slot's trait.
    fn as_slot(&self) -> &T;
}

/// A burn module that implements the trait of a slot, as an object.
trait ErasedModule<T: ?Sized + 'static>: Debug + Send {
    /// [`AsSlot::TRAIT`].
    fn trait_name(&self) -> &'static str;
    /// [`AsSlot::as_slot`].
    fn slot(&self) -> &T;
    /// [`Module::visit`].
    fn visit_erased(&self, visitor: &mut dyn ErasedVisitor);
    /// [`Module::map`].
    fn map_erased(self: Box<Self>, mapper: &mut dyn ErasedMapper) -> Box<dyn ErasedModule<T>>;
    /// [`Module::collect_devices`].
    fn collect_devices_erased(&self, devices: Devices) -> Devices;
    /// [`Module::fork`].
    fn fork_erased(self: Box<Self>, device: &Device) -> Box<dyn ErasedModule<T>>;
    /// [`Module::to_device`].
    fn to_device_erased(self: Box<Self>, device: &Device) -> Box<dyn ErasedModule<T>>;
    /// [`Module::train`].
    fn train_erased(self: Box<Self>) -> Box<dyn ErasedModule<T>>;
    /// [`Module::valid`].
    fn valid_erased(&self) -> Box<dyn ErasedModule<T>>;
    /// [`Module::materialize`].
    fn materialize_erased(self: Box<Self>) -> Box<dyn ErasedModule<T>>;
    /// [`Clone::clone`].
    fn clone_erased(&self) -> Box<dyn ErasedModule<T>>;
}

impl<T: ?Sized + 'static, M: AsSlot<T> + Module + 'static> ErasedModule<T> for M {
    fn trait_name(&self) -> &'static str {
        <M as AsSlot<T>>::TRAIT
    }

    fn slot(&self) -> &T {
        AsSlot::<T>::as_slot(self)
    }

    fn visit_erased(&self, visitor: &mut dyn ErasedVisitor) {
        self.visit(&mut VisitorToErased(visitor));
    }

    fn map_erased(self: Box<Self>, mapper: &mut dyn ErasedMapper) -> Box<dyn ErasedModule<T>> {
        Box::new((*self).map(&mut MapperToErased(mapper)))
    }

    fn collect_devices_erased(&self, devices: Devices) -> Devices {
        self.collect_devices(devices)
    }

    fn fork_erased(self: Box<Self>, device: &Device) -> Box<dyn ErasedModule<T>> {
        Box::new((*self).fork(device))
    }

    fn to_device_erased(self: Box<Self>, device: &Device) -> Box<dyn ErasedModule<T>> {
        Box::new((*self).to_device(device))
    }

    fn train_erased(self: Box<Self>) -> Box<dyn ErasedModule<T>> {
        Box::new((*self).train())
    }

    fn valid_erased(&self) -> Box<dyn ErasedModule<T>> {
        Box::new(self.valid())
    }

    fn materialize_erased(self: Box<Self>) -> Box<dyn ErasedModule<T>> {
        Box::new((*self).materialize())
    }

    fn clone_erased(&self) -> Box<dyn ErasedModule<T>> {
        Box::new(self.clone())
    }
}

/// The burn module that holds any implementation of a slot's trait, such as `dyn Fusion`. The trait is implemented for it beside
/// the trait.
pub struct SlotModule<T: ?Sized + 'static> {
    inner: Box<dyn ErasedModule<T>>,
    origin: Arc<str>,
}

impl<T: ?Sized + 'static> SlotModule<T> {
    /// Wraps an implementation; `origin` names it in errors, for instance `gat (plugin libgat.so)`.
    pub fn new(inner: impl AsSlot<T> + Module + 'static, origin: impl Into<Arc<str>>) -> Self {
        Self { inner: Box::new(inner), origin: origin.into() }
    }

    /// Calls the implementation; a panic in it carries the plugin's name.
    pub(crate) fn guard<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        guard::run(&self.origin, || call(self.inner.slot()))
    }
}

impl<T: ?Sized + 'static> Debug for SlotModule<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotModule").field("inner", &self.inner).field("origin", &self.origin).finish()
    }
}

impl<T: ?Sized + 'static> Clone for SlotModule<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone_erased(), origin: self.origin.clone() }
    }
}

impl<T: ?Sized + 'static> Module for SlotModule<T> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.inner.collect_devices_erased(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { inner: self.inner.fork_erased(device), origin: self.origin }
    }

    fn to_device(self, device: &Device) -> Self {
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

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.inner.visit_erased(&mut ToStatic(visitor));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Self { inner: self.inner.map_erased(&mut ToStatic(mapper)), origin: self.origin }
    }
}

impl<T: ?Sized + 'static> ModuleDisplayDefault for SlotModule<T> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{} ({})", self.inner.trait_name(), self.origin)).optional()
    }
}

impl<T: ?Sized + 'static> ModuleDisplay for SlotModule<T> {}
