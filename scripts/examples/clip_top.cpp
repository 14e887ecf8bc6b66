// Print the likeliest class after each frame: clip_top GRAPH.onnx FRAMES.raw HEIGHT WIDTH
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: clip_top GRAPH.onnx FRAMES.raw HEIGHT WIDTH\n"), 2;
  const std::int64_t height = std::atoll(argv[3]), width = std::atoll(argv[4]);
  Ort::Env env;
  Ort::Session session(env, argv[1], Ort::SessionOptions{});
  Ort::AllocatorWithDefaultOptions allocator;
  const auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated("streamcam", allocator);
  const auto card = nlohmann::json::parse(text.get());
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);

  // Inputs are frames, state_0 …; outputs are logits, cube, common, next_0 …: in the same order.
  std::vector<std::string> names{"frames"}, given{"logits"};
  std::vector<Ort::Value> inputs;
  std::vector<std::uint8_t> frame(3 * height * width);
  const std::vector<std::int64_t> shape{1, 1, 3, height, width};
  inputs.push_back(Ort::Value::CreateTensor(memory, frame.data(), frame.size(), shape.data(), shape.size()));
  for (std::size_t i = 1; i < session.GetInputCount(); ++i) {
    const std::string number = std::to_string(i - 1);
    names.push_back("state_" + number);
    given.push_back("next_" + number);
    auto size = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    size[0] = 1;
    auto zeros = Ort::Value::CreateTensor<float>(allocator, size.data(), size.size());
    std::fill_n(zeros.GetTensorMutableData<float>(), zeros.GetTensorTypeAndShapeInfo().GetElementCount(), 0.0f);
    inputs.push_back(std::move(zeros));
  }
  std::vector<const char*> in, out;
  for (const auto& name : names) in.push_back(name.c_str());
  for (const auto& name : given) out.push_back(name.c_str());

  const std::size_t classes = card["classes"].size();
  const std::size_t length = card["clip"]["length"].get<std::size_t>() - card["temporal_context"].get<std::size_t>();
  const int blind = card["temporal_receptive_field"].get<int>() - 1;
  const bool independent = card["multi_label"];
  const double temperature = card["temperature"];
  std::deque<std::vector<float>> slices;  // the logits of the last L' slices
  std::ifstream raw(argv[2], std::ios::binary);
  for (int number = 0; raw.read(reinterpret_cast<char*>(frame.data()), frame.size()); ++number) {
    auto outputs = session.Run(Ort::RunOptions{}, in.data(), inputs.data(), in.size(), out.data(), out.size());
    for (std::size_t i = 1; i < inputs.size(); ++i) inputs[i] = std::move(outputs[i]);
    if (number < blind) continue;  // it still sees the zeros that the states begin with
    const float* logits = outputs[0].GetTensorData<float>();
    slices.emplace_back(logits, logits + classes);
    if (slices.size() > length) slices.pop_front();
    std::vector<double> mean(classes, 0.0);
    for (const auto& slice : slices)
      for (std::size_t c = 0; c < classes; ++c) mean[c] += slice[c] / static_cast<double>(slices.size());
    const auto top = std::max_element(mean.begin(), mean.end());
    double sum = 0.0;
    for (const double x : mean) sum += std::exp((x - *top) / temperature);
    const double score = independent ? 1.0 / (1.0 + std::exp(-*top)) : 1.0 / sum;
    const std::string name = card["classes"][top - mean.begin()];
    std::printf("%d\t%s\t%.6f\n", number, name.c_str(), score);
  }
}
