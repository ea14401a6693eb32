package ec2

import (
	"strconv"
	"strings"
)

// dollars is what a size "large" of a family costs an hour, on demand with Linux in us-east-1, as far as it is known. Within a family
// prices go with size. Prices differ between regions and times, but hardly in their order, and order is all that this is used for.
// It is in the code because Amazon's price list is several hundred megabytes and another service with other permissions.
var dollars = map[string]float64{
	"t2": .0928, "t3": .0832, "t3a": .0752, "t4g": .0672,
	"a1": .051, "m3": .133, "m4": .1, "m5": .096, "m5a": .086, "m5ad": .103, "m5d": .113, "m5dn": .136, "m5n": .119, "m5zn": .1652,
	"m6a": .0864, "m6g": .077, "m6gd": .0904, "m6i": .096, "m6id": .11865, "m6idn": .15912, "m6in": .13923,
	"m7a": .11592, "m7g": .0816, "m7gd": .1068, "m7i": .1008, "m7i-flex": .09576, "m8g": .08976,
	"c3": .105, "c4": .1, "c5": .085, "c5a": .077, "c5ad": .086, "c5d": .096, "c5n": .108,
	"c6a": .0765, "c6g": .068, "c6gd": .0768, "c6gn": .0864, "c6i": .085, "c6id": .1008, "c6in": .1134,
	"c7a": .10264, "c7g": .0725, "c7gd": .0907, "c7gn": .1248, "c7i": .08925, "c7i-flex": .08479, "c8g": .07976,
	"r3": .166, "r4": .133, "r5": .126, "r5a": .113, "r5ad": .131, "r5b": .149, "r5d": .144, "r5dn": .167, "r5n": .149,
	"r6a": .1134, "r6g": .1008, "r6gd": .1152, "r6i": .126, "r6id": .1512, "r6idn": .19524, "r6in": .17433,
	"r7a": .15215, "r7g": .1071, "r7gd": .1361, "r7i": .1323, "r7iz": .186, "r8g": .11782,
	"x2gd": .167, "z1d": .186, "i3": .156, "i3en": .226, "i4g": .15444, "i4i": .1716, "im4gn": .18192, "is4gen": .2882,
}

// price is what an instance type costs an hour, and whether that is known. What is not known is estimated by size, and comes after all
// that is known: such types are new, or have what nobody asked for, such as accelerators.
func price(t machineType) (float64, bool) {
	family, size, _ := strings.Cut(t.name, ".")
	if large, ok := dollars[family]; ok {
		if n, ok := larges(size); ok {
			return large * n, true
		}
	}
	return float64(t.cores)*.05 + float64(t.memory)/1024*.006, false
}

// larges is how many of "large" a size is worth, by Amazon's table of normalization factors.
func larges(size string) (float64, bool) {
	switch size {
	case "nano":
		return 1. / 16, true
	case "micro":
		return 1. / 8, true
	case "small":
		return 1. / 4, true
	case "medium":
		return 1. / 2, true
	case "large":
		return 1, true
	case "xlarge":
		return 2, true
	}
	if n, ok := strings.CutSuffix(size, "xlarge"); ok {
		times, err := strconv.Atoi(n)
		return 2 * float64(times), err == nil
	}
	return 0, false // metal has a price of its own
}

// usual is the families, by arch and kind, among which the cheapest type is for nearly every wish: one request for them, instead of ten for all
// that there are.
var usual = []string{"t2.*", "t3.*", "t3a.*", "c5a.*", "c6a.*", "m5a.*", "m6a.*", "r5a.*", "r6a.*", "t4g.*", "c6g.*", "c7g.*", "m6g.*", "m7g.*", "r6g.*", "r7g.*"}
