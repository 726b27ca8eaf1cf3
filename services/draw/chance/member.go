package chance

import "math"

// negligible is a probability that changes no digit of a result.
const negligible = 1e-18

// memberWinsOnce integrates the formula of the package comment. The distribution is 1 up
// to a time and 0 from another one on; between, Gauss–Legendre integration halves the
// interval until that changes nothing.
func memberWinsOnce(others []Class, w, k int64) float64 {
	var members, entries int64
	for _, c := range others {
		members += c.Members
		entries += c.Entries * c.Members
	}
	switch {
	case w == 0:
		return 0
	case w > members:
		return 1
	}
	// The member has surely rung by end. By then W others may have as well.
	rate := float64(k)
	end := -math.Log(negligible) / rate
	fewer := func(t float64) float64 { return fewerThan(w, others, t) }
	from := bisect(end, func(t float64) bool { return fewer(t) >= 1-negligible })
	to := bisect(end, func(t float64) bool { return fewer(t) >= negligible })
	integral := adaptive(func(t float64) float64 { return rate * math.Exp(-rate*t) * fewer(t) }, from.below, to.above)
	return min(1, -math.Expm1(-rate*from.below)+integral)
}

type bracket struct{ below, above float64 }

// bisect returns times between which ok, which is true at first, becomes false.
func bisect(end float64, ok func(t float64) bool) bracket {
	b := bracket{0, end}
	for range 64 {
		middle := (b.below + b.above) / 2
		if ok(middle) {
			b.below = middle
		} else {
			b.above = middle
		}
		if b.above-b.below < b.below/16 {
			break
		}
	}
	return b
}

// fewerThan returns the probability that fewer than w members have rung by t. Their
// number is a sum of binomial ones, so it is Poisson binomial; its distribution function
// is the sum of the discrete Fourier transform of its characteristic function
// (Fernández and Williams, Closed-form expression for the Poisson-binomial probability
// density function, 2010; Hong, On computing the distribution function for the Poisson
// binomial distribution, 2013). The transform is taken over as many numbers as
// Bernstein's inequality leaves.
func fewerThan(w int64, classes []Class, t float64) float64 {
	var mean, variance, members float64
	for _, c := range classes {
		m, p := float64(c.Members), -math.Expm1(-float64(c.Entries)*t)
		members += m
		mean += m * p
		variance += m * p * (1 - p)
	}
	tail := -math.Log(negligible / 2)
	reach := tail/3 + math.Sqrt(tail*tail/9+2*tail*variance)
	low, high := math.Max(0, math.Floor(mean-reach)), math.Min(members, math.Ceil(mean+reach))
	switch {
	case float64(w) <= low:
		return 0
	case float64(w) > high:
		return 1
	}
	length, below := high-low+1, float64(w)-low
	sum := below
	for l := 1.0; 2*l <= length; l++ {
		theta := 2 * math.Pi * l / length
		size, angle := characteristic(classes, t, theta)
		if size < math.Log(negligible)-10 {
			break // sizes fall with theta
		}
		// The sum of e^(-iθs) over s from low to w-1 is a geometric series.
		angle -= theta * (low + (below-1)/2)
		term := math.Exp(size) * math.Cos(angle) * math.Sin(theta*below/2) / math.Sin(theta/2)
		if 2*l < length {
			term *= 2 // for the conjugate
		}
		sum += term
	}
	return math.Min(1, math.Max(0, sum/length))
}

// characteristic returns the logarithm and the angle of the characteristic function.
func characteristic(classes []Class, t, theta float64) (size, angle float64) {
	sin, cos := math.Sincos(theta)
	half := math.Sin(theta / 2)
	for _, c := range classes {
		q := math.Exp(-float64(c.Entries) * t)
		p := -math.Expm1(-float64(c.Entries) * t)
		m := float64(c.Members)
		size += m / 2 * math.Log1p(-4*p*q*half*half)
		angle += m * math.Atan2(p*sin, q+p*cos)
	}
	return size, angle
}

// adaptive integrates f from a to b. Halving an interval divides the error of a rule of 20
// points by about 2^40, so halves that agree with the whole to 1e-10 are exact.
func adaptive(f func(float64) float64, a, b float64) float64 {
	whole := gauss(f, a, b)
	return refine(f, a, b, whole, 1e-10*whole, 12)
}

func refine(f func(float64) float64, a, b, whole, tolerance float64, depth int) float64 {
	middle := (a + b) / 2
	left, right := gauss(f, a, middle), gauss(f, middle, b)
	if depth == 0 || math.Abs(left+right-whole) <= tolerance {
		return left + right
	}
	return refine(f, a, middle, left, tolerance, depth-1) + refine(f, middle, b, right, tolerance, depth-1)
}

// rule holds the positive nodes of the Gauss–Legendre rule of 20 points on -1 to 1, and
// their weights (Abramowitz and Stegun, table 25.4).
var rule = [...]struct{ x, weight float64 }{
	{0.9931285991850949, 0.017614007139152118},
	{0.9639719272779138, 0.04060142980038694},
	{0.912234428251326, 0.06267204833410907},
	{0.8391169718222188, 0.08327674157670475},
	{0.7463319064601508, 0.10193011981724044},
	{0.636053680726515, 0.11819453196151841},
	{0.5108670019508271, 0.13168863844917664},
	{0.37370608871541955, 0.14209610931838204},
	{0.22778585114164507, 0.14917298647260374},
	{0.07652652113349734, 0.15275338713072584},
}

func gauss(f func(float64) float64, a, b float64) float64 {
	middle, half := (a+b)/2, (b-a)/2
	sum := 0.0
	for _, r := range rule {
		sum += r.weight * (f(middle-half*r.x) + f(middle+half*r.x))
	}
	return half * sum
}
