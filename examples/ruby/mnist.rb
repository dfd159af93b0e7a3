# Trains a network on MNIST from Ruby: PyCall starts Python inside Ruby and imports anynet.
#
#   gem install pycall
#   PYTHON=python3 ruby examples/ruby/mnist.rb
#
# ANYNET_BACKEND chooses the array library, as for the examples in Python.
require 'pycall'

anynet = PyCall.import_module('anynet')
layers = anynet.layers

backend = anynet.get_backend
begin
  data = anynet.data.load_mnist(backend)
rescue PyCall::PyError => e
  warn "MNIST could not be loaded: #{e.message.lines.first}Training on scikit-learn's digits instead."
  data = anynet.data.load_digits(backend)
end
train = data.train
test = data.test

net = layers.Sequential.new(
  layers.Linear.new(784, 50),
  layers.Sigmoid.new,
  layers.Linear.new(50, 100),
  layers.Sigmoid.new,
  layers.Linear.new(100, 10),
  seed: 0,
  backend: backend
)
puts "#{backend.name} on #{backend.device_name}, #{train[0].shape[0]} images to train on"

history = anynet.fit(
  net, train, test,
  optimizer: anynet.optimizers.Momentum.new(0.1),
  epochs: Integer(ENV.fetch('EPOCHS', 5))
)
puts "final test accuracy: #{history.epochs[-1].test_score.round(4)}"

# anynet differentiates a Ruby lambda as it does a Python function.
# PyCall passes Python's keyword arguments, here none, as one more argument.
square = ->(x, *) { x * x }
slope = anynet.grad(square).call(backend.asarray(3.0))
puts "the slope of x² at 3: #{slope}"
